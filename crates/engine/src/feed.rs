//! The first stage: chunks become rows, as many as the budget lets in.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow_array::RecordBatch;
use crossbeam_channel::Sender;
use imbed_core::Result;

use crate::{
    budget::Budget,
    fetch::Fetch,
    fingerprint::Fingerprint,
    input::Chunk,
    load::panicked,
    metrics::{Metrics, Queue},
    report::Event,
    rows::{Job, Source},
};

/// Where rows go.
pub(crate) struct Feeder {
    pub(crate) budget: Arc<Budget>,
    /// Bytes that each row holds of the budget.
    pub(crate) row_bytes: usize,
    pub(crate) jobs: Sender<Job>,
    /// Where rows go that are addresses, and who says which are.
    pub(crate) wanted: Option<(Arc<dyn Fetch>, Sender<Job>)>,
    pub(crate) events: Sender<Event>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Feeder {
    /// Feeds every chunk of `input` into the stages until the input ends, fails or panics, and says so, or until somebody closes the
    /// budget or a channel.
    pub(crate) fn run(&self, input: impl Iterator<Item = Result<Chunk>>) {
        let fed = catch_unwind(AssertUnwindSafe(|| self.feed(input)));
        let end = match fed.unwrap_or_else(|panic| Err(panicked("the input", "what reads the input", &*panic))) {
            Ok(Some(())) => Event::End,
            Ok(None) => return,
            Err(error) => Event::Fatal(error),
        };
        // A failed send means that the stream has ended already.
        let _ = self.events.send(end);
    }

    /// `None` if the run is over before the input is.
    fn feed(&self, input: impl Iterator<Item = Result<Chunk>>) -> Result<Option<()>> {
        let (mut sequence, mut row) = (0, 0);
        for (chunk, item) in (0..).zip(input) {
            let item = item?;
            item.check()?;
            let Chunk { batch, images, labels, first_row } = item;
            let first_row = first_row.unwrap_or(row);
            row = first_row + images.len() as u64;
            let bytes = images.memory() + batch.get_array_memory_size();
            if !self.budget.acquire(bytes) {
                return Ok(None);
            }
            let steps = Fingerprint::of_steps(images.unchanged().1);
            let source = Arc::new(Source { chunk, first_row, images, steps, labels, bytes });
            if self.chunk(batch, &source, &mut sequence).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    fn chunk(&self, batch: RecordBatch, source: &Arc<Source>, sequence: &mut u64) -> Option<()> {
        self.events.send(Event::Start { batch, source: Arc::clone(source) }).ok()?;
        for row in 0..source.images.len() {
            if !self.budget.acquire(self.row_bytes) {
                return None;
            }
            self.budget.row_waits();
            let job = Job { sequence: *sequence, source: Arc::clone(source), row, fetched: None };
            self.send(job)?;
            *sequence += 1;
        }
        Some(())
    }

    fn send(&self, job: Job) -> Option<()> {
        let elsewhere =
            |fetch: &Arc<dyn Fetch>| job.source.images.place(job.row).is_some_and(|place| fetch.takes(place));
        match &self.wanted {
            Some((fetch, wanted)) if elsewhere(fetch) => {
                self.metrics.entered(Queue::Fetch);
                wanted.send(job).ok()
            }
            _ => {
                self.metrics.entered(Queue::Prepare);
                self.jobs.send(job).ok()
            }
        }
    }
}
