//! What the tests share: a service to ask, images to ask about, and a runtime to wait on.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports)]

mod fake;
mod wire;

use std::sync::Arc;

use imbed_core::{
    AsyncImageEmbedder, Device, EmbedOptions, Embedder, EncodedImage, ImageEmbedderDescriptor, Provider, Result,
    image::{EncodeFormat, Image, Mode, Samples, encode},
    options::OptionMap,
};
use imbed_provider_openai::OpenAiProvider;

pub(crate) use fake::{Act, Fake, Seen};
pub(crate) use wire::{WIDTH, Wire, vector};

/// The key that the fake service wants.
pub(crate) const KEY: &str = "sk-of-the-tests";

/// A PNG that no other `seed` has.
pub(crate) fn png(seed: u32) -> Vec<u8> {
    let [a, b, c, d] = seed.to_be_bytes();
    let samples = Samples::U8(vec![a, b, c, d, a ^ b, c ^ d, a, c, b, d, 1, 2]);
    encode(&Image::new(Mode::Rgb, 2, 2, samples).unwrap(), EncodeFormat::Png).unwrap()
}

pub(crate) fn encoded(seed: u32) -> EncodedImage {
    EncodedImage { bytes: png(seed).into(), media_type: "image/png" }
}

/// Options of `fake`'s dialect, with `pairs` over them.
pub(crate) fn options(fake: &Fake, pairs: &[(&str, &str)]) -> EmbedOptions {
    let mut map = OptionMap::default();
    let url = fake.url();
    let width = WIDTH.to_string();
    let own =
        [("dialect", fake.wire().dialect), ("base_url", url.as_str()), ("api_key", KEY), ("width", width.as_str())];
    for (name, value) in own.iter().chain(pairs) {
        map.set(*name, value);
    }
    map.read(OpenAiProvider.option_specs()).unwrap()
}

pub(crate) fn describe(fake: &Fake, pairs: &[(&str, &str)]) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
    OpenAiProvider.image_embedder("a-model", &options(fake, pairs))
}

pub(crate) fn embedder(fake: &Fake, pairs: &[(&str, &str)]) -> Arc<dyn AsyncImageEmbedder> {
    let Embedder::Async(embedder) = describe(fake, pairs).unwrap().instantiate(Device::Cpu).unwrap() else {
        panic!("a service is asynchronous")
    };
    embedder
}

pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

/// One batch of the images with these seeds.
pub(crate) fn embed(fake: &Fake, pairs: &[(&str, &str)], seeds: std::ops::Range<u32>) -> Result<Vec<Result<Vec<f32>>>> {
    let embedder = embedder(fake, pairs);
    run(embedder.embed(seeds.map(encoded).collect()))
}

/// Every row must have the vector of its own image.
pub(crate) fn assert_right(rows: &[Result<Vec<f32>>], seeds: std::ops::Range<u32>) {
    assert_eq!(rows.len(), seeds.len());
    for (row, seed) in rows.iter().zip(seeds) {
        assert_eq!(row.as_ref().unwrap(), &vector(&png(seed)), "image {seed}");
    }
}
