//! Arrow IPC tables: the file format (Feather 2) and the stream format.

mod lengths;

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::ArrowError;
use imbed::core::{Error, Result};

use self::lengths::Lengths;
use super::batches::{Batches, Opened, rows_per_batch, unreadable};

/// How a file in the file format begins; a stream begins with a message.
const MAGIC: &[u8; 6] = b"ARROW1";

pub(super) fn is_file(path: &Path) -> io::Result<bool> {
    let mut start = [0; MAGIC.len()];
    let read = File::open(path)?.take(MAGIC.len() as u64).read(&mut start)?;
    Ok(&start[..read] == MAGIC)
}

pub(super) fn open_file(path: &Path) -> Result<Opened> {
    Lengths::of_file(file(path)?)?;
    let reader = FileReader::try_new_buffered(file(path)?, None).map_err(unreadable)?;
    let batches = reader.num_batches() as u64;
    let detail = format!("Arrow IPC file, {batches} record batch{}", if batches == 1 { "" } else { "es" });
    Ok(Opened { schema: reader.schema(), rows: None, detail })
}

pub(super) fn open_stream(path: &Path) -> Result<Opened> {
    Lengths::of_stream(file(path)?)?;
    let reader = StreamReader::try_new_buffered(file(path)?, None).map_err(unreadable)?;
    Ok(Opened { schema: reader.schema(), rows: None, detail: "Arrow IPC stream".to_owned() })
}

pub(super) fn read_file(path: &Path, columns: Option<Vec<usize>>) -> Result<Batches> {
    let lengths = Lengths::of_file(file(path)?)?;
    let reader = FileReader::try_new(BufReader::new(file(path)?), columns).map_err(unreadable)?;
    Ok(in_pieces(looked_at(lengths, reader)))
}

pub(super) fn read_stream(path: &Path, columns: Option<Vec<usize>>) -> Result<Batches> {
    let lengths = Lengths::of_stream(file(path)?)?;
    let reader = StreamReader::try_new(BufReader::new(file(path)?), columns).map_err(unreadable)?;
    Ok(in_pieces(looked_at(lengths, reader)))
}

fn file(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io("open", e))
}

/// Record batches of `reader`, each read after its lengths have been looked at. After one that is refused there are no more.
fn looked_at(
    mut lengths: Lengths,
    mut reader: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
) -> impl Iterator<Item = Result<RecordBatch>> + Send + 'static {
    let mut refused = false;
    std::iter::from_fn(move || {
        if refused {
            return None;
        }
        if let Err(e) = lengths.advance() {
            refused = true;
            return Some(Err(e));
        }
        reader.next().map(|batch| batch.map_err(unreadable))
    })
}

/// Cuts batches, which are as large as whoever wrote them liked, into slices of bounded size.
fn in_pieces(batches: impl Iterator<Item = Result<RecordBatch>> + Send + 'static) -> Batches {
    Box::new(batches.flat_map(|batch| -> Batches {
        let batch = match batch {
            Ok(batch) => batch,
            Err(e) => return Box::new(std::iter::once(Err(e))),
        };
        let rows = batch.num_rows();
        let step = rows_per_batch(batch.get_array_memory_size() as u64 / rows.max(1) as u64);
        Box::new((0..rows).step_by(step).map(move |start| Ok(batch.slice(start, step.min(rows - start)))))
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Array, BinaryArray, Int32Array};

    use super::*;

    #[test]
    fn a_large_batch_is_cut_and_loses_no_row() {
        let heavy = vec![7u8; 10 << 20];
        let images = BinaryArray::from_iter_values(std::iter::repeat_n(heavy, 8));
        let batch = RecordBatch::try_from_iter([
            ("i", Arc::new(images) as _),
            ("n", Arc::new((0..8).collect::<Int32Array>()) as _),
        ]);
        let pieces: Vec<RecordBatch> =
            in_pieces(std::iter::once(batch.map_err(unreadable))).map(Result::unwrap).collect();
        assert!(pieces.len() > 1 && pieces.iter().all(|p| p.num_rows() <= 3));
        let numbers =
            pieces.iter().map(|p| p.column(1).as_any().downcast_ref::<Int32Array>().unwrap().values().to_vec());
        assert_eq!(numbers.collect::<Vec<_>>().concat(), (0..8).collect::<Vec<_>>());
    }
}
