//! JSON lines output: one object per row, every column present, vectors as arrays of numbers.

use std::{
    io::{self, BufWriter, Stdout, Write},
    path::PathBuf,
};

use arrow_array::RecordBatch;
use arrow_json::{LineDelimitedWriter, WriterBuilder};
use imbed::core::{Error, Result};

use super::{Sink, Written, atomic::AtomicFile, unwritable};

pub(super) enum Output {
    File(AtomicFile),
    Stdout,
}

pub(super) struct JsonlSink {
    writer: LineDelimitedWriter<Counted<BufWriter<Destination>>>,
}

enum Destination {
    File(AtomicFile),
    Stdout(Stdout),
}

/// Counts the bytes that pass.
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl JsonlSink {
    pub(super) fn new(output: Output) -> Self {
        let destination = match output {
            Output::File(file) => Destination::File(file),
            Output::Stdout => Destination::Stdout(io::stdout()),
        };
        let counted = Counted { inner: BufWriter::new(destination), bytes: 0 };
        Self { writer: WriterBuilder::new().with_explicit_nulls(true).build(counted) }
    }
}

impl Sink for JsonlSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(unwritable)?;
        // Whoever reads the other end of a pipe wants rows when they are done.
        let output = self.writer.get_mut();
        match output.inner.get_ref() {
            Destination::Stdout(_) => output.flush().map_err(|e| Error::io("standard output", e)),
            Destination::File(_) => Ok(()),
        }
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Written>> {
        self.writer.finish().map_err(unwritable)?;
        let Counted { inner, bytes } = self.writer.into_inner();
        match inner.into_inner().map_err(|e| unwritable(e.into_error()))? {
            Destination::File(file) => Ok(vec![file.commit()?]),
            Destination::Stdout(_) => Ok(vec![Written { path: PathBuf::from("-"), bytes }]),
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
