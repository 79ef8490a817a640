//! Programs that are asynchronous stay awake.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use imbed_core::{AsyncImageEmbedder, Embedder, EncodedImage, ImageEmbedderDescriptor, Result};
use imbed_engine::Engine;
use tokio::runtime::{Builder, Runtime};

use super::always;
use crate::{
    Behaviour, Trouble,
    behaviour::{Check, Failure, ensure},
    bench::{Bench, Model, Prepared, column},
    pictures::{pictures, pngs},
};

/// Work between two waits that nobody notices.
const SHORT: Duration = Duration::from_millis(50);
/// The machine may be busy with other things; a provider that blocks does so every time.
const TRIES: usize = 3;

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "async-runtime",
    promise: "an asynchronous model never blocks the runtime that it waits on, a blocking one works from the threads that a \
              runtime has for blocking, and an engine may be used and dropped inside a runtime",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let descriptor = slow_or_usual(bench)?;
    let model = bench.load(descriptor.as_ref())?;
    let prepared = model.prepare(&pictures(3)?)?;
    match &model.embedder {
        Embedder::Async(embedder) => never_blocks(embedder, prepared.encoded()?)?,
        Embedder::Blocking(_) => works_beside_a_runtime(&model, &prepared)?,
    }
    inside_a_runtime(descriptor)
}

fn slow_or_usual(bench: &Bench) -> Result<Arc<dyn ImageEmbedderDescriptor>, Failure> {
    match bench.subject.stage(Trouble::Slow) {
        Some(staged) => {
            let staged = staged?;
            Ok(bench.describe_model(&staged.model, &staged.options, &[])?)
        }
        None => Ok(Arc::clone(&bench.descriptor)),
    }
}

/// No single step of the call may take most of the call's time, unless it is short.
fn never_blocks(embedder: &Arc<dyn AsyncImageEmbedder>, images: &[EncodedImage]) -> Check {
    let runtime = one_thread()?;
    let mut worst = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TRIES {
        let start = Instant::now();
        let call = Timed { call: embedder.embed(images.to_vec()), longest: Duration::ZERO };
        let longest = runtime.block_on(call)?;
        worst = (longest, start.elapsed());
        if longest < SHORT || longest < worst.1 / 2 {
            return Ok(());
        }
    }
    Err(format!("the runtime was blocked for {:.0?} of a call of {:.0?}", worst.0, worst.1).into())
}

/// A call that measures its longest step.
struct Timed<'a> {
    call: Call<'a>,
    longest: Duration,
}

type Call<'a> = Pin<Box<dyn Future<Output = Result<Vec<Result<Vec<f32>>>>> + Send + 'a>>;

impl Future for Timed<'_> {
    type Output = Result<Duration>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let start = Instant::now();
        let polled = self.call.as_mut().poll(context);
        self.longest = self.longest.max(start.elapsed());
        polled.map(|result| result.map(|_| self.longest))
    }
}

/// As from a thread that a runtime keeps for work that blocks.
fn works_beside_a_runtime(model: &Model, prepared: &Prepared) -> Check {
    let (images, model, prepared) = (prepared.len(), model.clone(), prepared.clone());
    let call = async move { tokio::task::spawn_blocking(move || model.call(&prepared)).await };
    let vectors =
        one_thread()?.block_on(call).map_err(|e| format!("a call from a thread of a runtime failed: {e}"))??;
    ensure!(vectors.len() == images, "{} vectors came from a thread of a runtime, for {images} images", vectors.len());
    Ok(())
}

/// What a user of an asynchronous program does without a thought.
fn inside_a_runtime(descriptor: Arc<dyn ImageEmbedderDescriptor>) -> Check {
    let file = column(&[pngs(&pictures(1)?)?.pop()]);
    one_thread()?.block_on(async move {
        let engine = Engine::builder(descriptor).build()?;
        engine.embed_array(file.into())?;
        // Dropped here, inside the runtime.
        Ok(())
    })
}

fn one_thread() -> Result<Runtime, Failure> {
    Ok(Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?)
}
