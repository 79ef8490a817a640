//! Vectors against those of the reference implementations, on given pixels: relative error at most 1e-4 in every row.

mod support;

use std::num::NonZeroU32;

use imbed_core::{EmbedOptions, InputSpec, options::Pooling};
use support::{CHECKPOINTS, Golden, RAGGED, describe, embed, load, relative_error};

const TOLERANCE: f64 = 1e-4;

fn assert_golden(name: &str, vectors: &str, options: &EmbedOptions) {
    let golden = Golden::of(name);
    let descriptor = describe(name, options);
    let embedder = load(&*descriptor);
    let got = embed(&*embedder, &golden.pixels());
    let expected = golden.vectors(vectors).unwrap();
    assert_eq!(descriptor.dimensions().size, embedder.width());
    let error = relative_error(&got, &expected, embedder.width());
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
    let (with_pooler, without) =
        (vec![Pooling::Pooler, Pooling::Cls, Pooling::Mean], vec![Pooling::Cls, Pooling::Mean]);
    for (name, poolings) in [
        ("vit", with_pooler.clone()),
        ("deit", with_pooler),
        ("vit-bf16-sharded", without.clone()),
        ("dinov2", without.clone()),
        ("dinov2-swiglu", without.clone()),
        ("dinov2-registers", without.clone()),
        ("dinov3", without.clone()),
        ("dinov3-gated", without),
    ] {
        assert_eq!(describe(name, &EmbedOptions::default()).capability().poolings, poolings);
        for pooling in poolings {
            assert_golden(name, &pooling.to_string(), &EmbedOptions { pooling: Some(pooling), ..Default::default() });
        }
    }
}

#[test]
fn images_in_their_own_proportions_give_the_vectors_of_transformers() {
    let golden = Golden::of(RAGGED);
    let descriptor = describe(RAGGED, &EmbedOptions::default());
    let embedder = load(&*descriptor);
    let (got, expected) = (embed(&*embedder, &golden.ragged_pixels()), golden.vectors("embedding").unwrap());
    assert_eq!(expected.len(), 9 * embedder.width());
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
            let descriptor = describe(name, &options);
            let InputSpec::Pixels(preprocess) = descriptor.input() else { panic!("not pixels") };
            let size = preprocess.output_size().unwrap();
            assert_eq!((size.height, size.width), (side, side), "{name}");
            let embedder = load(&*descriptor);
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
fn the_built_in_model_gives_the_vectors_of_its_trainer() {
    assert_golden("imbed/tiny", "embedding", &EmbedOptions::default());
}

#[test]
fn the_golden_vectors_tell_images_apart() {
    for name in CHECKPOINTS {
        let width = describe(name, &EmbedOptions::default()).dimensions().size;
        let vectors = Golden::of(name).vectors("embedding").unwrap();
        let (first, others) = vectors.split_at(width);
        for other in others.chunks_exact(width) {
            assert!(relative_error(other, first, width) > 0.1, "{name}: two images with nearly the same vector");
        }
    }
}

#[test]
fn the_input_is_what_the_preprocessor_config_says() {
    let descriptor = describe("vit-bf16-sharded", &EmbedOptions::default());
    let InputSpec::Pixels(preprocess) = descriptor.input() else { panic!("not pixels") };
    let size = preprocess.output_size().unwrap();
    assert_eq!((size.height, size.width), (24, 40));
}
