//! What the readers of all table formats give, and how large a batch may be.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use imbed::core::{Error, ErrorKind, Result};

/// Rows of one batch at most, whatever they weigh: batches are how progress is seen.
pub(super) const MAX_ROWS: usize = 256;

/// Bytes of one batch, as far as they can be known before it is read.
const MAX_BYTES: u64 = 32 << 20;

/// What the reader of one format finds out when it opens a file.
pub(super) struct Opened {
    pub(super) schema: SchemaRef,
    pub(super) rows: Option<u64>,
    pub(super) detail: String,
}

/// Record batches, in order.
pub(in crate::source) type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// How many rows of `bytes_per_row` make a batch.
pub(super) fn rows_per_batch(bytes_per_row: u64) -> usize {
    (MAX_BYTES / bytes_per_row.max(1)).clamp(1, MAX_ROWS as u64) as usize
}

/// An error about the content of a file, from whichever library found it.
pub(super) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::BadInput, error.to_string()).source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_bounded_in_rows_and_bytes() {
        assert_eq!(rows_per_batch(0), MAX_ROWS);
        assert_eq!(rows_per_batch(1 << 20), 32);
        assert_eq!(rows_per_batch(1 << 40), 1);
    }
}
