//! What the tests share: this provider over the golden checkpoints.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports)]

mod checkpoints;

use std::sync::Arc;

use imbed_core::{BlockingImageEmbedder, Device, EmbedOptions, Embedder, ImageEmbedderDescriptor, Provider};
use imbed_provider_candle::CandleProvider;

pub(crate) use checkpoints::*;

/// The descriptor of a fixture, or of the built-in model where `name` says so.
pub(crate) fn describe(name: &str, options: &EmbedOptions) -> Arc<dyn ImageEmbedderDescriptor> {
    let folder = fixture(name);
    let model = if name == "imbed/tiny" { name } else { folder.to_str().unwrap() };
    CandleProvider.image_embedder(model, options).unwrap()
}

/// The descriptor's model, loaded on the CPU.
pub(crate) fn load(descriptor: &dyn ImageEmbedderDescriptor) -> Arc<dyn BlockingImageEmbedder> {
    let Embedder::Blocking(embedder) = descriptor.instantiate(Device::Cpu).unwrap() else { panic!("not blocking") };
    embedder
}
