//! What the tests share: this provider over the golden checkpoints and over `TorchScript` files.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports)]

#[path = "../../../provider-candle/tests/support/checkpoints.rs"]
mod checkpoints;

use std::{path::PathBuf, sync::Arc};

use imbed_core::{
    BlockingImageEmbedder, Device, EmbedOptions, Embedder, Error, ImageEmbedderDescriptor, Provider, Result,
    options::OptionMap,
};
use imbed_provider_torch::TorchProvider;

pub(crate) use checkpoints::*;

/// The descriptor of a golden checkpoint, or of the built-in model where `name` says so.
pub(crate) fn describe(name: &str, options: &EmbedOptions) -> Arc<dyn ImageEmbedderDescriptor> {
    let folder = fixture(name);
    let model = if name == "imbed/tiny" { name } else { folder.to_str().unwrap() };
    TorchProvider.image_embedder(model, options).unwrap()
}

/// The path of a `TorchScript` fixture, made by `tests/fixtures/make.py`.
pub(crate) fn script(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name].iter().collect()
}

/// The descriptor of a `TorchScript` fixture with the options that a user types, or why there is none.
pub(crate) fn describe_script(
    name: &str,
    pairs: &[(&'static str, &'static str)],
) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
    let options = pairs.iter().copied().collect::<OptionMap>().read(TorchProvider.option_specs())?;
    TorchProvider.image_embedder(script(name).to_str().unwrap(), &options)
}

/// The golden file of the `TorchScript` fixtures.
pub(crate) fn script_golden() -> Golden {
    Golden::open(&script("golden.safetensors"))
}

/// The descriptor's model, loaded on the processor, or why it cannot be.
pub(crate) fn try_load(descriptor: &dyn ImageEmbedderDescriptor) -> Result<Arc<dyn BlockingImageEmbedder>> {
    match descriptor.instantiate(Device::Cpu)? {
        Embedder::Blocking(embedder) => Ok(embedder),
        Embedder::Async(_) => panic!("not blocking"),
    }
}

/// The descriptor's model, loaded on the processor.
pub(crate) fn load(descriptor: &dyn ImageEmbedderDescriptor) -> Arc<dyn BlockingImageEmbedder> {
    try_load(descriptor).unwrap()
}
