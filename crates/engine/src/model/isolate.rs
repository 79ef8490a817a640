//! Finding what a failing batch fails on: too many images for the memory, one image that the model cannot take, or a service
//! that had no answer this time.

use std::sync::atomic::Ordering::Relaxed;

use imbed_core::{Error, ErrorKind, Result};

use super::{Worker, call::Outcome};
use crate::batch::Images;

/// So many batches in a row that fail for a passing reason are no passing trouble.
const MOST_IN_A_ROW: usize = 32;

/// Embeds `images`, in halves where memory runs out, and row by row around an image that makes the model fail.
///
/// `Err` where the failure is not these images': the device, a broken promise, a model that fails on every image, or a
/// service that gives nothing at all.
pub(super) fn embed_isolating(worker: &Worker<'_>, images: &Images) -> Result<Outcome> {
    let mut outcome = Outcome { values: Vec::new(), failed: Vec::new() };
    let mut start = 0;
    while start < images.len() {
        let rows = worker.most_rows.load(Relaxed).clamp(1, images.len() - start);
        embed_range(worker, images, start..start + rows, &mut outcome)?;
        start += rows;
    }
    if outcome.failed.iter().any(Option::is_none) {
        worker.failed_in_a_row.store(0, Relaxed);
        return Ok(outcome);
    }
    let Some(first) = outcome.failed.iter().flatten().next() else {
        return Err(Error::new(ErrorKind::Internal, "a batch without images reached the model"));
    };
    let proven = worker.metrics.model_has_proven_itself();
    let Some(passing) = outcome.failed.iter().flatten().find(|error| error.is_temporary()) else {
        return if !proven || images.len() > 1 { Err(first.clone()) } else { Ok(outcome) };
    };
    // What has nothing to do with the images says nothing of the model either, unless nothing else is heard of it.
    let in_a_row = worker.failed_in_a_row.fetch_add(1, Relaxed) + 1;
    if !proven {
        return Err(passing.clone());
    }
    if in_a_row >= MOST_IN_A_ROW {
        return Err(passing.clone().context(format!("no vector came for {in_a_row} batches in a row")));
    }
    Ok(outcome)
}

fn embed_range(
    worker: &Worker<'_>,
    images: &Images,
    range: std::ops::Range<usize>,
    outcome: &mut Outcome,
) -> Result<()> {
    let whole = range == (0..images.len());
    let result = if whole { worker.call(images) } else { worker.call(&images.slice(range.clone())) };
    let error = match result {
        Ok(part) => {
            outcome.values.extend(part.values);
            outcome.failed.extend(part.failed);
            return Ok(());
        }
        Err(error) => error,
    };
    if worker.cancel.is_cancelled() {
        return Err(error);
    }
    if error.is_temporary() {
        outcome.values.resize(outcome.values.len() + range.len() * worker.finish.width, 0.0);
        outcome.failed.extend(range.map(|_| Some(error.clone())));
        return Ok(());
    }
    if !may_be_one_images_fault(&error) {
        return Err(error);
    }
    if range.len() == 1 {
        if error.kind() == ErrorKind::OutOfMemory {
            return Err(error.hint("one image alone is too much for the memory: use a smaller model or another device"));
        }
        outcome.values.resize(outcome.values.len() + worker.finish.width, 0.0);
        outcome.failed.push(Some(error));
        return Ok(());
    }
    if error.kind() == ErrorKind::OutOfMemory {
        worker.metrics.add_halving();
        tracing::warn!(rows = range.len(), "memory ran out; the batch is halved");
    }
    let middle = range.start + range.len() / 2;
    embed_range(worker, images, range.start..middle, outcome)?;
    embed_range(worker, images, middle..range.end, outcome)
}

/// Requests are not among them: who makes them says itself which image is at fault, and halves that are asked for again would
/// multiply what a service has refused already.
fn may_be_one_images_fault(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::OutOfMemory | ErrorKind::Model | ErrorKind::Internal)
}
