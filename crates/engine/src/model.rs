//! The last stage: batches go through the model, and what fails is narrowed down.

mod backoff;
mod call;
mod isolate;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use imbed_core::{Error, ErrorKind, Result};

use crate::{
    batch::Batch,
    budget::Budget,
    cancel::CancelHandle,
    copies::{Claim, Settled},
    finish::Finish,
    metrics::{Metrics, Queue, Stage},
    report::Report,
    reuse::Reuse,
    rows::Row,
};

pub(crate) use call::Caller;
use isolate::embed_isolating;

/// One worker's view of the run.
pub(crate) struct Worker<'a> {
    pub(crate) caller: Caller,
    pub(crate) finish: Finish,
    pub(crate) budget: &'a Budget,
    pub(crate) report: &'a Report,
    pub(crate) metrics: &'a Metrics,
    pub(crate) cancel: &'a CancelHandle,
    pub(crate) max_retries: u32,
    /// Images per call that memory was seen to hold; shared by the workers, lowered when memory runs out.
    pub(crate) most_rows: &'a AtomicUsize,
    /// Batches since the last vector that failed for a passing reason; shared by the workers.
    pub(crate) failed_in_a_row: &'a AtomicUsize,
    /// Bytes that each row holds of the budget.
    pub(crate) row_bytes: usize,
    pub(crate) reuse: &'a Reuse,
}

impl Worker<'_> {
    /// Embeds every batch until there are no more, or one stops the run.
    pub(crate) fn run(&self, batches: impl Iterator<Item = Batch>) {
        for batch in batches {
            self.metrics.left(Queue::Model);
            if self.cancel.is_cancelled() {
                return;
            }
            let rows = batch.rows.len();
            let keep_on = tracing::debug_span!("batch", rows).in_scope(|| self.embed(batch));
            self.budget.release(rows * self.row_bytes);
            if !keep_on {
                return;
            }
        }
    }

    fn embed(&self, batch: Batch) -> bool {
        let Batch { images, rows } = batch;
        let outcome = match embed_isolating(self, &images) {
            Ok(outcome) => outcome,
            Err(error) => return self.report.fatal(error),
        };
        let (width, size) = (self.finish.width, self.finish.size);
        let mut vectors = Vec::with_capacity(rows.len() * size);
        let mut embedded = Vec::with_capacity(rows.len());
        for (i, (row, result)) in rows.into_iter().zip(outcome.failed).enumerate() {
            let start = vectors.len();
            vectors.resize(start + size, 0.0);
            let finished = match result {
                None => self.finish.row(&outcome.values[i * width..][..width], &mut vectors[start..]),
                Some(error) => Err(error),
            };
            match finished {
                Ok(()) => embedded.push(row),
                Err(error) => {
                    vectors.truncate(start);
                    if !self.failed(&row, error) {
                        return false;
                    }
                }
            }
        }
        self.embedded(embedded, vectors)
    }

    /// Rows that have a vector, and with them their copies.
    fn embedded(&self, rows: Vec<Row>, vectors: Vec<f32>) -> bool {
        let each = || rows.iter().map(|row| &row.claim).zip(vectors.chunks_exact(self.finish.size));
        if let Some(cache) = &self.reuse.cache {
            cache.put(each().filter_map(|(claim, vector)| Some((&claim.as_ref()?.fingerprint, vector))));
        }
        let mut copies = each().filter_map(|(claim, vector)| Some((claim.as_ref()?, vector)));
        copies.all(|(claim, vector)| self.settle(claim, || Settled::Vector(vector.into())))
            && self.report.vectors(rows.into_iter().map(|row| row.slot).collect(), vectors)
    }

    /// A row that failed, and with it its copies.
    fn failed(&self, row: &Row, error: Error) -> bool {
        let copied = row.claim.as_ref().map(|claim| (claim, error.clone()));
        self.report.failed(&row.slot, error)
            && copied.is_none_or(|(claim, error)| {
                if error.is_temporary() {
                    self.reuse.forget(claim);
                }
                self.settle(claim, || Settled::Failed(error))
            })
    }

    /// Says what became of an image, for the rows that wait for it and those that come.
    fn settle(&self, claim: &Claim, outcome: impl FnOnce() -> Settled) -> bool {
        let Some(original) = &claim.original else { return true };
        let outcome = outcome();
        let copies = original.settle(outcome.clone());
        if copies.is_empty() {
            return true;
        }
        self.budget.copies_left(copies.len());
        self.report.copies(copies, &outcome)
    }

    /// One call of the model with at most as many images as memory holds, repeated while it fails temporarily.
    fn call(&self, images: &crate::batch::Images) -> Result<call::Outcome> {
        let mut backoff = backoff::Backoff::new(self.max_retries);
        loop {
            self.metrics.add_batch();
            let result = self.metrics.time(Stage::Model, || self.caller.call(images, self.finish.width, self.cancel));
            match result {
                Err(error) if error.is_temporary() => match backoff.next_delay() {
                    Some(delay) if !self.cancel.is_cancelled() => {
                        self.metrics.add_retry();
                        tracing::debug!(%error, ?delay, "a model call failed temporarily and is repeated");
                        std::thread::sleep(delay);
                    }
                    _ => return Err(error),
                },
                Err(error) if error.kind() == ErrorKind::OutOfMemory => {
                    let half = (images.len() / 2).max(1);
                    self.most_rows.fetch_min(half, Relaxed);
                    return Err(error);
                }
                other => return other,
            }
        }
    }
}
