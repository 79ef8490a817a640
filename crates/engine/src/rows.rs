//! Rows on their way through the stages.

use std::sync::Arc;

use arrow_array::ArrayRef;
use imbed_core::{Error, address, arrow::StringsColumn};

use crate::{copies::Claim, fetch::Fetched, fingerprint::Fingerprint, input::Images, output::RowError};

/// The images of one chunk, shared by its rows on their way through the stages.
#[derive(Debug)]
pub(crate) struct Source {
    /// Which chunk, from 0.
    pub(crate) chunk: u64,
    /// The chunk's first row in the whole input.
    pub(crate) first_row: u64,
    pub(crate) images: Images,
    /// Of what is done to the images before the model's own preprocessing.
    pub(crate) steps: Option<Fingerprint>,
    /// Text that names each row, if there is any.
    pub(crate) labels: Option<ArrayRef>,
    /// Bytes that the chunk holds of the budget until it leaves the pipeline.
    pub(crate) bytes: usize,
}

impl Source {
    /// Row `row`'s error, with its place in the whole input.
    pub(crate) fn row_error(&self, row: usize, error: Error) -> RowError {
        let labels = match (&self.labels, self.images.unchanged().0) {
            (Some(labels), _) | (None, Images::Paths(labels)) => Some(labels),
            _ => None,
        };
        let label = labels.and_then(|l| Some(address::shown(StringsColumn::try_new(l).ok()?.get(row)?).into_owned()));
        // What fetches names the address itself, for rows that are called otherwise.
        let named = |label: &String| error.message().strip_prefix(label.as_str()).is_some_and(|m| m.starts_with(": "));
        let label = label.filter(|label| !named(label));
        RowError { row, absolute_row: self.first_row + row as u64, label, error }
    }
}

/// One row on its way to the preparing stage.
#[derive(Debug)]
pub(crate) struct Job {
    /// Its place among all rows, which the batcher restores.
    pub(crate) sequence: u64,
    pub(crate) source: Arc<Source>,
    pub(crate) row: usize,
    /// What came for it, where its image is elsewhere.
    pub(crate) fetched: Option<Fetched>,
}

/// A row whose image goes to the model.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) slot: Slot,
    /// `None` where images are not told apart.
    pub(crate) claim: Option<Claim>,
}

/// Where a row's vector belongs.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) source: Arc<Source>,
    pub(crate) row: usize,
}
