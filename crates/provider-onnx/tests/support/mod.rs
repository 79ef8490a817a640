//! What the tests share: the fixtures, ONNX Runtime, and how far apart two sets of vectors are.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use imbed_core::{
    BlockingImageEmbedder, Device, EmbedOptions, Embedder, Error, ImageBatch, ImageEmbedderDescriptor, PixelBatch,
    Provider, Result, options::OptionMap,
};
use imbed_provider_onnx::{OnnxProvider, library_in, use_library};
use safetensors::SafeTensors;

/// The preprocessing of the models in `forms`: images as they are, and the mean and deviation of the fixtures.
pub(crate) const FORMS: [(&str, &str); 4] =
    [("resize", "none"), ("crop", "4x6"), ("mean", "0.5,0.4,0.3"), ("std", "0.2,0.25,0.5")];

/// The path of a fixture, made by `tests/fixtures/make.py`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name].iter().collect()
}

/// The options that a user types.
pub(crate) fn options(pairs: &[(&'static str, &'static str)]) -> EmbedOptions {
    pairs.iter().copied().collect::<OptionMap>().read(OnnxProvider.option_specs()).unwrap()
}

/// The descriptor of a fixture with these options, or why there is none.
pub(crate) fn try_describe(
    name: impl AsRef<Path>,
    pairs: &[(&'static str, &'static str)],
) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
    let path = fixture("").join(name);
    OnnxProvider.image_embedder(path.to_str().unwrap(), &options(pairs))
}

/// The descriptor of a fixture with these options.
pub(crate) fn describe(name: &str, pairs: &[(&'static str, &'static str)]) -> Arc<dyn ImageEmbedderDescriptor> {
    try_describe(name, pairs).unwrap()
}

/// The descriptor of one of the models in `forms`.
pub(crate) fn form(name: &str, pairs: &[(&'static str, &'static str)]) -> Arc<dyn ImageEmbedderDescriptor> {
    describe(&format!("forms/{name}.onnx"), &[&FORMS, pairs].concat())
}

/// Opens ONNX Runtime: that of `ORT_DYLIB_PATH`, else the one that `cargo xtask setup` put into the target folder.
pub(crate) fn runtime() {
    if std::env::var_os("ORT_DYLIB_PATH").is_some_and(|path| !path.is_empty()) {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("onnxruntime");
    let library = library_in(&folder).unwrap_or_else(|| {
        panic!("there is no ONNX Runtime in {}: run `cargo xtask setup`, or set ORT_DYLIB_PATH", folder.display())
    });
    use_library(library).unwrap();
}

/// The descriptor's model, loaded on the processor, or why it cannot be.
pub(crate) fn try_load(descriptor: &dyn ImageEmbedderDescriptor) -> Result<Arc<dyn BlockingImageEmbedder>, Error> {
    runtime();
    match descriptor.instantiate(Device::Cpu)? {
        Embedder::Blocking(embedder) => Ok(embedder),
        Embedder::Async(_) => panic!("not blocking"),
    }
}

/// The descriptor's model, loaded on the processor.
pub(crate) fn load(descriptor: &dyn ImageEmbedderDescriptor) -> Arc<dyn BlockingImageEmbedder> {
    try_load(descriptor).unwrap()
}

/// The vectors of a batch, `[images, width]`.
pub(crate) fn embed(embedder: &dyn BlockingImageEmbedder, pixels: &PixelBatch) -> Vec<f32> {
    let mut out = vec![f32::NAN; pixels.len() * embedder.width()];
    embedder.embed(ImageBatch::Pixels(pixels), &mut out).unwrap();
    out
}

/// A golden file: pixels, and vectors by name.
pub(crate) struct Golden {
    bytes: Vec<u8>,
}

impl Golden {
    /// The golden file of a folder.
    pub(crate) fn of(folder: &str) -> Self {
        Self { bytes: std::fs::read(fixture(folder).join("golden.safetensors")).unwrap() }
    }

    /// The images after resize and crop.
    pub(crate) fn pixels(&self) -> PixelBatch {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor("pixels").unwrap();
        PixelBatch::from_vec(tensor.data().to_vec(), tensor.shape()[1], tensor.shape()[2]).unwrap()
    }

    /// The vectors called `name`.
    pub(crate) fn vectors(&self, name: &str) -> Vec<f32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor(name).unwrap();
        tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }
}

/// The largest relative error of a row, `|a - b| / |b|`.
pub(crate) fn relative_error(a: &[f32], b: &[f32], width: usize) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let rows = a.chunks_exact(width).zip(b.chunks_exact(width));
    let error = |(a, b): (&[f32], &[f32])| {
        let difference = norm(&mut a.iter().zip(b).map(|(x, y)| f64::from(*x) - f64::from(*y)));
        difference / norm(&mut b.iter().map(|y| f64::from(*y)))
    };
    // Not `f64::max`, which would drop a NaN.
    rows.map(error).fold(0.0, |worst, e| if e > worst || e.is_nan() { e } else { worst })
}
