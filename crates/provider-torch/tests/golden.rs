//! Vectors of checkpoints against those of the reference implementations, on given pixels: relative error at most 1e-4 in
//! every row.

mod support;

use std::num::NonZeroU32;

use imbed_core::{
    EmbedOptions,
    options::{Dtype, Pooling},
};
use support::{CHECKPOINTS, Golden, RAGGED, describe, embed, load, relative_error};

const TOLERANCE: f64 = 1e-4;

fn error(name: &str, vectors: &str, options: &EmbedOptions) -> f64 {
    let golden = Golden::of(name);
    let embedder = load(&*describe(name, options));
    let got = embed(&*embedder, &golden.pixels());
    relative_error(&got, &golden.vectors(vectors).unwrap(), embedder.width())
}

fn assert_golden(name: &str, vectors: &str, options: &EmbedOptions) {
    let error = error(name, vectors, options);
    assert!(error <= TOLERANCE, "{name}, {vectors}: relative error {error:e}");
}

#[test]
fn every_checkpoint_gives_the_vectors_of_transformers() {
    for name in CHECKPOINTS {
        assert_golden(name, "embedding", &EmbedOptions::default());
    }
}

#[test]
fn every_pooling_gives_the_vectors_of_transformers() {
    for name in ["vit", "deit", "vit-bf16-sharded", "dinov2", "dinov2-registers", "dinov3", "dinov3-gated"] {
        for pooling in describe(name, &EmbedOptions::default()).capability().poolings {
            assert_golden(name, &pooling.to_string(), &EmbedOptions { pooling: Some(pooling), ..Default::default() });
        }
    }
    assert_eq!(describe("vit", &EmbedOptions::default()).capability().poolings[0], Pooling::Pooler);
}

#[test]
fn images_in_their_own_proportions_give_the_vectors_of_transformers() {
    let golden = Golden::of(RAGGED);
    let embedder = load(&*describe(RAGGED, &EmbedOptions::default()));
    let (got, expected) = (embed(&*embedder, &golden.ragged_pixels()), golden.vectors("embedding").unwrap());
    let error = relative_error(&got, &expected, embedder.width());
    assert!(error <= TOLERANCE, "{RAGGED}: relative error {error:e}");
}

#[test]
fn another_image_size_gives_the_vectors_of_transformers() {
    let mut sizes = 0;
    for name in CHECKPOINTS {
        let golden = Golden::of(name);
        for side in golden.sides() {
            let options = EmbedOptions { image_size: NonZeroU32::new(side), ..Default::default() };
            let embedder = load(&*describe(name, &options));
            let got = embed(&*embedder, &golden.named_pixels(&format!("pixels.{side}")));
            let expected = golden.vectors(&format!("embedding.{side}")).unwrap();
            let error = relative_error(&got, &expected, embedder.width());
            assert!(error <= TOLERANCE, "{name} at {side}: relative error {error:e}");
            sizes += 1;
        }
    }
    assert!(sizes >= 12, "{sizes} sizes");
}

#[test]
fn other_formats_and_names_of_weights_are_read() {
    for name in ["open-clip", "open-clip-squash"] {
        assert_golden(name, "embedding", &EmbedOptions::default());
    }
    let clip = Golden::of("clip");
    for name in ["clip-torch", "clip-torch-sharded"] {
        let embedder = load(&*describe(name, &EmbedOptions::default()));
        let error = relative_error(&embed(&*embedder, &clip.pixels()), &clip.vectors("embedding").unwrap(), 48);
        assert!(error <= TOLERANCE, "{name}: relative error {error:e}");
    }
}

#[test]
fn the_built_in_model_gives_the_vectors_of_its_trainer() {
    assert_golden("imbed/tiny", "embedding", &EmbedOptions::default());
}

/// Numbers of 8 and 11 bits through a few layers; the most, 0.08, is that of the built-in model, whose stem is eight convolutions.
#[test]
fn half_precision_stays_near_single_precision() {
    for (dtype, tolerance) in [(Dtype::F16, 1e-2), (Dtype::Bf16, 1e-1)] {
        let options = EmbedOptions { dtype: Some(dtype), ..Default::default() };
        for name in CHECKPOINTS.into_iter().chain(["imbed/tiny"]) {
            let error = error(name, "embedding", &options);
            assert!(error <= tolerance, "{name} in {dtype}: relative error {error:e}");
            assert!(error > 1e-6, "{name} in {dtype}: nothing was rounded");
        }
    }
}
