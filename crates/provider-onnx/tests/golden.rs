//! Vectors held against transformers and numpy, on given pixels.

mod support;

use support::{FORMS, Golden, describe, embed, form, load, relative_error, try_describe};

/// The largest relative error of a fixture with these options, against the golden vectors `expected`.
fn error(folder: &str, model: &str, pairs: &[(&'static str, &'static str)], expected: &str) -> f64 {
    let golden = Golden::of(folder);
    let embedder = load(&*describe(model, pairs));
    relative_error(&embed(&*embedder, &golden.pixels()), &golden.vectors(expected), embedder.width())
}

#[test]
fn a_folder_of_the_hub_gives_the_vectors_of_transformers() {
    let error = error("clip", "clip", &[], "embedding");
    assert!(error <= 1e-4, "{error:e}");
}

#[test]
fn halves_and_bytes_come_close_to_them() {
    // An f16 has 11 bits, an int8 weight 8: that many are lost in every layer.
    for (dtype, most) in [("f16", 1e-2), ("q8", 1e-1)] {
        let error = error("clip", "clip", &[("dtype", dtype)], "embedding");
        assert!(error > 0.0 && error <= most, "{dtype}: {error:e}");
    }
}

#[test]
fn the_whole_model_gives_the_same_images_without_texts() {
    let error = error("clip", "clip/onnx/model.onnx", &[], "unit");
    assert!(error <= 1e-4, "{error:e}");
}

#[test]
fn tokens_are_pooled_as_transformers_users_do() {
    for (pooling, expected) in [("cls", "cls"), ("mean", "mean")] {
        let pairs = [("output", "last_hidden_state"), ("pooling", pooling)];
        let error = error("clip", "clip", &pairs, expected);
        assert!(error <= 1e-4, "{pooling}: {error:e}");
    }
}

#[test]
fn a_graph_of_fixed_batches_takes_batches_of_any_size() {
    for (pooling, expected) in [("pooler", "pooler"), ("cls", "cls"), ("mean", "mean")] {
        let error = error("vit", "vit", &[("pooling", pooling)], expected);
        assert!(error <= 1e-4, "{pooling}: {error:e}");
    }
    let descriptor = describe("vit", &[]);
    assert_eq!(descriptor.capability().max_batch_rows, Some(2));
    let golden = Golden::of("vit");
    let embedder = load(&*descriptor);
    for images in [1, 2, 3, 7] {
        let part = embed(&*embedder, &golden.pixels().slice(0..images));
        let error = relative_error(&part, &golden.vectors("pooler")[..part.len()], embedder.width());
        assert!(error <= 1e-4, "{images} images: {error:e}");
    }
}

#[test]
fn every_form_of_input_and_output_gives_the_vectors_of_numpy() {
    let cases = [
        ("open", &[("output", "vector")][..], "vector"),
        ("open", &[("output", "vector"), ("channels", "bgr")], "bgr"),
        ("open", &[("output", "map"), ("pooling", "mean")], "positive"),
        ("bare", &[("layout", "nchw"), ("embedding_width", "5")], "vector"),
        ("old", &[], "vector"),
    ];
    let golden = Golden::of("forms");
    for (name, pairs, expected) in cases {
        let embedder = load(&*form(name, pairs));
        let error = relative_error(&embed(&*embedder, &golden.pixels()), &golden.vectors(expected), embedder.width());
        assert!(error <= 1e-5, "{name} {pairs:?}: {error:e}");
    }
}

#[test]
fn a_graph_that_takes_bytes_channel_last_is_given_them() {
    let golden = Golden::of("forms");
    let embedder = load(&*try_describe("forms/bytes.onnx", &FORMS[..2]).unwrap());
    let error = relative_error(&embed(&*embedder, &golden.pixels()), &golden.vectors("bytes"), 5);
    assert!(error <= 1e-5, "{error:e}");
}
