//! The golden checkpoints, for the tests of every provider that runs them, and how far apart two sets of vectors are.

use std::path::{Path, PathBuf};

use imbed_core::{BlockingImageEmbedder, ImageBatch, PixelBatch};
use safetensors::SafeTensors;

/// Every checkpoint of the fixtures whose images have one size, made by `xtask/fixtures/make.py`.
pub(crate) const CHECKPOINTS: [&str; 18] = [
    "clip",
    "clip-vision-f16",
    "clip-vision-bare",
    "metaclip2",
    "siglip",
    "siglip-bare",
    "vit",
    "vit-bf16-sharded",
    "deit",
    "dinov2",
    "dinov2-swiglu",
    "dinov2-registers",
    "dinov3",
    "dinov3-gated",
    "beit",
    "beit-shared",
    "aimv2-lit",
    "aimv2-native",
];

/// The checkpoint that reads images in their own proportions.
pub(crate) const RAGGED: &str = "siglip2-naflex";

/// The path of a fixture.
pub(crate) fn fixture(name: &str) -> PathBuf {
    // Another provider's tests read the same.
    [env!("CARGO_MANIFEST_DIR"), "..", "provider-candle", "tests", "fixtures", name].iter().collect()
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
    /// The golden file of a checkpoint.
    pub(crate) fn of(name: &str) -> Self {
        let path = match name {
            "imbed/tiny" => fixture("tiny-golden.safetensors"),
            _ => fixture(name).join("golden.safetensors"),
        };
        Self::open(&path)
    }

    /// The golden file at `path`.
    pub(crate) fn open(path: &Path) -> Self {
        Self { bytes: std::fs::read(path).unwrap() }
    }

    /// The images after resize and crop.
    pub(crate) fn pixels(&self) -> PixelBatch {
        self.named_pixels("pixels")
    }

    /// The images called `name`.
    pub(crate) fn named_pixels(&self, name: &str) -> PixelBatch {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor(name).unwrap();
        PixelBatch::from_vec(tensor.data().to_vec(), tensor.shape()[1], tensor.shape()[2]).unwrap()
    }

    /// The images `pixels.0`, `pixels.1` and so on, each of its own size.
    pub(crate) fn ragged_pixels(&self) -> PixelBatch {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let mut batch = PixelBatch::ragged(0);
        while let Ok(tensor) = file.tensor(&format!("pixels.{}", batch.len())) {
            batch.push(tensor.data(), tensor.shape()[0], tensor.shape()[1]);
        }
        batch
    }

    /// The sides of the other square images that there are vectors for.
    pub(crate) fn sides(&self) -> Vec<u32> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        file.names().iter().filter_map(|name| name.strip_prefix("embedding.")?.parse().ok()).collect()
    }

    /// The vectors called `name`, if there are any.
    pub(crate) fn vectors(&self, name: &str) -> Option<Vec<f32>> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = file.tensor(name).ok()?;
        Some(tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
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

/// Images that differ from each other, as a batch.
pub(crate) fn varied_pixels(images: usize, height: usize, width: usize) -> PixelBatch {
    let mut state = 12345_u32;
    let mut data = Vec::with_capacity(images * height * width * 3);
    for image in 0..images {
        for i in 0..height * width * 3 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let slope = (i * (image + 1) / 7 + image * 40) as u8;
            data.push(slope / 2 + (state >> 25) as u8);
        }
    }
    PixelBatch::from_vec(data, height, width).unwrap()
}
