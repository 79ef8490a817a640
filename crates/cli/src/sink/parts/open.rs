//! The part that is being written.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use imbed::core::{ErrorKind, Result};

use super::stretch::{Hasher, Stretch};
use crate::{
    sink::{Sink, atomic::AtomicFile, parquet::ParquetSink},
    source::RowId,
};

/// A part is closed when it holds this many rows: few enough that one changed file costs seconds, many enough that a million rows
/// are some 250 files.
const ROWS: u64 = 4096;
/// Or this many bytes, where rows carry images.
const BYTES: usize = 32 << 20;
/// Or when so much time has passed, so that a run that dies loses no more. A slow model shall not leave thousands of small files,
/// so a part lasts a hundredth of the time that the run has taken, within these bounds.
const TIME: [Duration; 2] = [Duration::from_secs(30), Duration::from_mins(5)];

/// A part that is being written.
pub(super) struct OpenPart {
    sink: ParquetSink,
    pub(super) first_row: u64,
    first: RowId,
    rows: u64,
    hasher: Hasher,
    nulls: u64,
    failed: BTreeMap<ErrorKind, u64>,
    since: Instant,
}

/// What the rows of a chunk have come to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) nulls: u64,
    pub(crate) failed: BTreeMap<ErrorKind, u64>,
}

impl OpenPart {
    pub(super) fn new(sink: ParquetSink, first: RowId, first_row: u64) -> Self {
        let (hasher, failed) = (Hasher::default(), BTreeMap::new());
        Self { sink, first_row, first, rows: 0, hasher, nulls: 0, failed, since: Instant::now() }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch, ids: &[RowId], tally: &Tally) -> Result<()> {
        self.sink.write(batch)?;
        for id in ids {
            self.hasher.add(*id);
        }
        self.rows += ids.len() as u64;
        self.nulls += tally.nulls;
        for (kind, n) in &tally.failed {
            *self.failed.entry(*kind).or_default() += n;
        }
        Ok(())
    }

    /// Whether it holds enough. `rows` is the user's wish, `run` when the run began.
    pub(super) fn is_full(&self, rows: Option<u64>, run: Instant) -> bool {
        let time = (run.elapsed() / 100).clamp(TIME[0], TIME[1]);
        self.rows >= rows.unwrap_or(ROWS) || self.sink.bytes() >= BYTES || self.since.elapsed() >= time
    }

    pub(super) fn stretch(&self) -> Stretch {
        let (first, rows, hash) = (self.first, self.rows, self.hasher.finish());
        Stretch { first, rows, hash, nulls: self.nulls, failed: self.failed.clone() }
    }

    /// Ends the file with what `footer` makes of its number of row groups.
    pub(super) fn into_file(
        self,
        footer: impl FnOnce(usize) -> parquet::file::metadata::KeyValue,
    ) -> Result<AtomicFile> {
        self.sink.into_file_with(footer)
    }
}
