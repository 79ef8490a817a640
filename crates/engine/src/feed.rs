//! The first stage: chunks become rows, as many as the budget lets in.

use std::sync::Arc;

use arrow_array::RecordBatch;
use crossbeam_channel::Sender;
use imbed_core::{Error, Result, arrow::StringsColumn};

use crate::{
    assemble::Event,
    budget::Budget,
    input::{Chunk, Images},
    output::RowError,
};

/// The images of one chunk, shared by its rows on their way through the stages.
#[derive(Debug)]
pub(crate) struct Source {
    /// Which chunk, from 0.
    pub(crate) chunk: u64,
    /// The chunk's first row in the whole input.
    first_row: u64,
    pub(crate) images: Images,
    labels: Option<arrow_array::ArrayRef>,
    /// Bytes that the chunk holds of the budget until it leaves the pipeline.
    pub(crate) bytes: usize,
}

impl Source {
    /// Row `row`'s error, with its place in the whole input.
    pub(crate) fn row_error(&self, row: usize, error: Error) -> RowError {
        let labels = match (&self.labels, &self.images) {
            (Some(labels), _) | (None, Images::Paths(labels)) => Some(labels),
            _ => None,
        };
        let label = labels.and_then(|l| Some(StringsColumn::try_new(l).ok()?.get(row)?.to_owned()));
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
}

/// Feeds every chunk of `input` into `jobs` until the input ends or somebody closes the budget or a channel.
pub(crate) fn feed(
    input: impl Iterator<Item = Result<Chunk>>,
    budget: &Budget,
    row_bytes: usize,
    jobs: &Sender<Job>,
    events: &Sender<Event>,
) {
    let mut sequence = 0;
    for (chunk, item) in (0..).zip(input) {
        match item.and_then(|chunk| chunk.check().map(|()| chunk)) {
            Ok(Chunk { batch, images, labels }) => {
                let bytes = images.memory() + batch.get_array_memory_size();
                if !budget.acquire(bytes) {
                    return;
                }
                let source = Arc::new(Source { chunk, first_row: sequence, images, labels, bytes });
                if feed_chunk(batch, &source, &mut sequence, budget, row_bytes, jobs, events).is_none() {
                    return;
                }
            }
            Err(error) => {
                // The stream ends with this error; a failed send means that it ended already.
                let _ = events.send(Event::Fatal(error));
                return;
            }
        }
    }
}

fn feed_chunk(
    batch: RecordBatch,
    source: &Arc<Source>,
    sequence: &mut u64,
    budget: &Budget,
    row_bytes: usize,
    jobs: &Sender<Job>,
    events: &Sender<Event>,
) -> Option<()> {
    events.send(Event::Start { batch, source: Arc::clone(source) }).ok()?;
    for row in 0..source.images.len() {
        if !budget.acquire(row_bytes) {
            return None;
        }
        budget.row_waits();
        jobs.send(Job { sequence: *sequence, source: Arc::clone(source), row }).ok()?;
        *sequence += 1;
    }
    Some(())
}
