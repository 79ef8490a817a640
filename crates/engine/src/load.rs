//! Loading a model once per device, however many runs and workers use it.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
};

use imbed_core::{Device, Embedder, Error, ErrorKind, ImageEmbedderDescriptor, Result, Usage};

use crate::metrics::{Metrics, Stage};

/// The loaded copies of one descriptor's model.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    copies: Mutex<BTreeMap<Device, Embedder>>,
}

impl Loaded {
    /// The copy on `device`, loaded now if it is the first use.
    pub(crate) fn get(
        &self,
        descriptor: &dyn ImageEmbedderDescriptor,
        device: Device,
        metrics: &Metrics,
    ) -> Result<Embedder> {
        // Held while loading, so that a second run waits for the first one's copy and does not load its own.
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(embedder) = copies.get(&device) {
            metrics.set_dtype(embedder.dtype());
            return Ok(embedder.clone());
        }
        let load = || catch_unwind(AssertUnwindSafe(|| descriptor.instantiate(device)));
        let embedder = metrics
            .time(Stage::ModelLoad, load)
            .unwrap_or_else(|panic| Err(panicked("loading the model", "the provider", &*panic)))?;
        metrics.set_dtype(embedder.dtype());
        copies.insert(device, embedder.clone());
        Ok(embedder)
    }

    /// What the copies have asked of their services; `None` while one is being loaded, as nobody should wait for that.
    pub(crate) fn usage(&self) -> Option<Usage> {
        let copies = self.copies.try_lock().ok()?;
        let mut sum = Usage::default();
        for embedder in copies.values() {
            let Embedder::Async(embedder) = embedder else { continue };
            let usage = embedder.usage();
            sum.requests += usage.requests;
            sum.retries += usage.retries;
            sum.tokens += usage.tokens;
            sum.bytes_sent += usage.bytes_sent;
        }
        Some(sum)
    }
}

/// A panic of `what` as an error that blames `whose` code.
pub(crate) fn panicked(what: &str, whose: &str, panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Error::new(ErrorKind::Internal, format!("{what} panicked: {}", text.unwrap_or("no message")))
        .hint(format!("this is a bug in {whose}; please report it with the model and the input"))
}
