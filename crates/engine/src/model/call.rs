//! One call of the model, blocking or not, seen the same way.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use imbed_core::{AsyncImageEmbedder, BlockingImageEmbedder, Embedder, Error, ErrorKind, Result};
use tokio::runtime::Handle;

use crate::{batch::Images, cancel::CancelHandle, load::panicked};

/// How often a waiting request looks whether the run was stopped.
const CANCEL_POLL: Duration = Duration::from_millis(50);

/// What one call gave.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `[rows, width]`, row-major; zeros where a row failed.
    pub(crate) values: Vec<f32>,
    /// One per row: why it failed, if it did.
    pub(crate) failed: Vec<Option<Error>>,
}

/// A loaded model, and for asynchronous ones the runtime to wait on.
#[derive(Debug)]
pub(crate) struct Caller {
    embedder: Embedder,
    runtime: Option<Handle>,
}

impl Caller {
    pub(crate) fn new(embedder: Embedder, runtime: Option<Handle>) -> Self {
        Self { embedder, runtime }
    }

    /// Embeds `images` in one call. A panic of the provider is an error.
    pub(crate) fn call(&self, images: &Images, width: usize, cancel: &CancelHandle) -> Result<Outcome> {
        let call = || match &self.embedder {
            Embedder::Blocking(embedder) => blocking(embedder.as_ref(), images, width),
            Embedder::Async(embedder) => self.wait(embedder, images, width, cancel),
        };
        catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(panicked("the model", "the provider", &*panic)))
    }

    fn wait(
        &self,
        embedder: &Arc<dyn AsyncImageEmbedder>,
        images: &Images,
        width: usize,
        cancel: &CancelHandle,
    ) -> Result<Outcome> {
        let (Images::Encoded(encoded), Some(runtime)) = (images, &self.runtime) else {
            return Err(Error::new(ErrorKind::Internal, "an asynchronous model needs encoded images and a runtime"));
        };
        let vectors = runtime.block_on(async {
            let mut call = embedder.embed(encoded.clone());
            loop {
                match tokio::time::timeout(CANCEL_POLL, &mut call).await {
                    Ok(vectors) => return vectors,
                    Err(_) if cancel.is_cancelled() => return Err(CancelHandle::error()),
                    Err(_) => {}
                }
            }
        })?;
        if vectors.len() != encoded.len() {
            let what = format!("{} images were sent, but {} vectors came back", encoded.len(), vectors.len());
            return Err(Error::new(ErrorKind::Dimensions, what));
        }
        let mut outcome =
            Outcome { values: vec![0.0; vectors.len() * width], failed: Vec::with_capacity(vectors.len()) };
        for (vector, row) in vectors.into_iter().zip(outcome.values.chunks_mut(width)) {
            outcome.failed.push(match vector {
                Ok(vector) if vector.len() == width => {
                    row.copy_from_slice(&vector);
                    None
                }
                Ok(vector) => Some(Error::new(
                    ErrorKind::Dimensions,
                    format!("a vector of {} numbers came back where {width} were announced", vector.len()),
                )),
                Err(error) => Some(error),
            });
        }
        Ok(outcome)
    }
}

fn blocking(embedder: &dyn BlockingImageEmbedder, images: &Images, width: usize) -> Result<Outcome> {
    let rows = images.len();
    // Not zeros: a row that the provider forgets to write is found by the check for finite numbers.
    let mut values = vec![f32::NAN; rows * width];
    embedder.embed(images.as_batch(), &mut values)?;
    Ok(Outcome { values, failed: std::iter::repeat_with(|| None).take(rows).collect() })
}
