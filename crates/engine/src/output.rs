//! What the engine gives back.

use std::fmt;

use arrow_array::{FixedSizeListArray, RecordBatch};
use imbed_core::Error;

/// A [`Chunk`](crate::Chunk) with its vectors.
#[derive(Debug)]
pub struct EmbeddedChunk {
    /// The carried columns, unchanged.
    pub batch: RecordBatch,
    /// One vector per row, `FixedSizeList<Float32, D>`; null where the row had no image or failed.
    pub embeddings: FixedSizeListArray,
    /// The rows that failed, in order.
    pub errors: Vec<RowError>,
    /// Rows that were not embedded, because an earlier row of the run has the same image, and have its vector.
    pub copies: usize,
}

/// A row that could not be embedded, and why.
#[derive(Debug)]
pub struct RowError {
    /// The row in its chunk, from 0.
    pub row: usize,
    /// The row in the whole input, from 0.
    pub absolute_row: u64,
    /// The row's label, if it has one.
    pub label: Option<String>,
    /// What happened.
    pub error: Error,
}

impl RowError {
    /// The same as an error of the whole run, for `on_error = raise`.
    pub fn into_error(self) -> Error {
        let place = self.place();
        let hint = self.error.hint_text().unwrap_or(
            "--on-error ignore (or log) makes such rows null and goes on; --errors-column keeps the reasons",
        );
        let hint = hint.to_owned();
        self.error.context(place).hint(hint)
    }

    /// Which row, as messages say it: `row 17 (photos/cat.jpg)`.
    pub fn place(&self) -> String {
        match &self.label {
            Some(label) => format!("row {} ({label})", self.absolute_row),
            None => format!("row {}", self.absolute_row),
        }
    }
}

impl fmt::Display for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place(), self.error.kind(), self.error.message())
    }
}
