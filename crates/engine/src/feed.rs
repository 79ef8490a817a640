//! The first stage: chunks become rows, as many as the budget lets in.

use std::sync::Arc;

use arrow_array::RecordBatch;
use crossbeam_channel::Sender;
use imbed_core::Result;

use crate::{
    budget::Budget,
    fingerprint::Fingerprint,
    input::Chunk,
    report::Event,
    rows::{Job, Source},
};

/// Feeds every chunk of `input` into `jobs` until the input ends or somebody closes the budget or a channel.
pub(crate) fn feed(
    input: impl Iterator<Item = Result<Chunk>>,
    budget: &Budget,
    row_bytes: usize,
    jobs: &Sender<Job>,
    events: &Sender<Event>,
) {
    let (mut sequence, mut row) = (0, 0);
    for (chunk, item) in (0..).zip(input) {
        match item.and_then(|chunk| chunk.check().map(|()| chunk)) {
            Ok(Chunk { batch, images, labels, first_row }) => {
                let first_row = first_row.unwrap_or(row);
                row = first_row + images.len() as u64;
                let bytes = images.memory() + batch.get_array_memory_size();
                if !budget.acquire(bytes) {
                    return;
                }
                let steps = Fingerprint::of_steps(images.unchanged().1);
                let source = Arc::new(Source { chunk, first_row, images, steps, labels, bytes });
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
