//! Finding what a failing batch fails on: too many images for the memory, or one image that the model cannot take.

use std::sync::atomic::Ordering::Relaxed;

use imbed_core::{Error, ErrorKind, Result};

use super::{Worker, call::Outcome};
use crate::batch::Images;

/// Embeds `images`, in halves where memory runs out, and row by row around an image that makes the model fail.
///
/// `Err` where the failure is not one image's: the device, a broken promise, or a model that fails on every image.
pub(super) fn embed_isolating(worker: &Worker<'_>, images: &Images) -> Result<Outcome> {
    let mut outcome = Outcome { values: Vec::new(), failed: Vec::new() };
    let mut start = 0;
    while start < images.len() {
        let rows = worker.most_rows.load(Relaxed).clamp(1, images.len() - start);
        embed_range(worker, images, start..start + rows, &mut outcome)?;
        start += rows;
    }
    let all_failed = outcome.failed.iter().all(Option::is_some);
    let proven = worker.metrics.snapshot().embedded > 0;
    if all_failed && (images.len() > 1 || !proven) {
        if let Some(Some(error)) = outcome.failed.into_iter().next() {
            return Err(error);
        }
        return Err(Error::new(ErrorKind::Internal, "a batch without images reached the model"));
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
    if !may_be_one_images_fault(&error) || worker.cancel.is_cancelled() {
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
