//! What is known about a model from its file alone: these tests need no ONNX Runtime.

mod support;

use imbed_core::{ErrorKind, InputSpec, Provider, options::Pooling};
use imbed_provider_onnx::OnnxProvider;
use serde_json::json;
use support::{FORMS, describe, fixture, form, options, try_describe};

#[test]
fn dimensions_and_input_are_known_without_onnx_runtime() {
    for (name, pairs, width, input) in [
        ("clip", &[][..], 24, "RGB, shortest edge 32 bicubic, centre crop 32x32"),
        ("clip", &[("dimensions", "10")], 10, "RGB, shortest edge 32 bicubic, centre crop 32x32"),
        ("clip/onnx/model.onnx", &[], 24, "RGB, shortest edge 32 bicubic, centre crop 32x32"),
        // The graph leaves this width open: it is config.json's.
        ("clip", &[("output", "last_hidden_state")], 32, "RGB, shortest edge 32 bicubic, centre crop 32x32"),
        ("clip", &[("image_size", "48")], 24, "RGB, shortest edge 48 bicubic, centre crop 48x48"),
        ("vit", &[], 32, "RGB, resize 24x40 bilinear"),
    ] {
        let descriptor = describe(name, pairs);
        assert_eq!(descriptor.dimensions().size, width, "{name} {pairs:?}");
        let InputSpec::Pixels(recipe) = descriptor.input() else { panic!("{name}") };
        assert_eq!(recipe.to_string(), input, "{name} {pairs:?}");
    }
    assert_eq!(form("open", &[("output", "vector")]).dimensions().size, 5);
    assert_eq!(form("bare", &[("layout", "nchw"), ("embedding_width", "5")]).dimensions().size, 5);
}

#[test]
fn capability_says_what_was_read() {
    let vit = describe("vit", &[]).capability();
    assert_eq!(vit.max_batch_rows, Some(2));
    assert_eq!(vit.poolings, [Pooling::Pooler, Pooling::Cls, Pooling::Mean]);
    assert!(!vit.deterministic);
    assert_eq!(describe("clip", &[]).capability().devices, ["cpu", "cuda"]);
    assert_eq!(describe("clip", &[("execution_provider", "openvino")]).capability().devices, ["cpu"]);
    assert_eq!(describe("clip", &[("execution_provider", "tensorrt")]).capability().devices, ["cuda"]);
}

#[test]
fn a_bare_file_without_a_recipe_is_an_error_that_says_what_to_pass() {
    let error = try_describe("forms/open.onnx", &[("output", "vector")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadOption);
    assert!(error.message().contains("open.onnx: there is no preprocessor_config.json"), "{error}");
    let hint = error.hint_text().unwrap();
    for option in ["resize=", "resample=", "crop=", "mean=", "std="] {
        assert!(hint.contains(option), "{hint}");
    }
}

#[test]
fn an_embedding_or_a_width_that_nothing_tells_is_asked_for() {
    let error = try_describe("forms/open.onnx", &FORMS).unwrap_err();
    assert!(error.hint_text().unwrap().contains("vector: f32 [N, 5]; map: f32 [N, 3, H, W]"), "{error}");
    let nchw = [&FORMS[..], &[("layout", "nchw")]].concat();
    let error = try_describe("forms/bare.onnx", &nchw).unwrap_err();
    assert!(error.hint_text().unwrap().contains("embedding_width=N"), "{error}");
}

#[test]
fn a_size_that_the_graph_does_not_take_is_refused() {
    let error = try_describe("vit", &[("image_size", "32")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadOption);
    assert!(error.message().contains("32x32") && error.message().contains("24x40"), "{error}");
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    for (name, pairs) in [
        ("clip", &[("dimensions", "25")][..]),
        ("clip", &[("pooling", "mean")]),
        ("clip", &[("dtype", "q4")]),
        ("clip", &[("device", "metal")]),
        ("clip", &[("device", "cuda"), ("execution_provider", "cpu")]),
        ("clip/onnx/model.onnx", &[("dtype", "f16")]),
        ("clip/onnx/model.onnx", &[("output", "logits_per_image")]),
        ("vit", &[("input", "nobody")]),
    ] {
        let error = try_describe(name, pairs).unwrap_err();
        assert!(error.hint_text().is_some(), "{name} {pairs:?}: {error}");
    }
}

#[test]
fn weights_outside_the_file_are_hashed_and_counted_and_missed() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| std::fs::copy(fixture("forms").join(name), folder.path().join(name)).unwrap();
    let pairs = [&FORMS[..], &[("layout", "nchw"), ("embedding_width", "5")]].concat();
    let graph = copy("bare.onnx");
    let missing = try_describe(folder.path().join("bare.onnx"), &pairs).unwrap_err();
    assert!(missing.message().contains("'bare.onnx_data'"), "{missing}");
    let data = copy("bare.onnx_data");
    let whole = try_describe(folder.path().join("bare.onnx"), &pairs).unwrap();
    assert_eq!(whole.requirements().weights_bytes, Some(graph + data));
    let before = whole.weights_hash().unwrap().unwrap();
    assert!(before.starts_with("blake3:"), "{before}");
    std::fs::write(folder.path().join("bare.onnx_data"), vec![1; data as usize]).unwrap();
    assert_ne!(whole.weights_hash().unwrap().unwrap(), before);
}

#[test]
fn a_file_of_another_kind_is_named() {
    let error = try_describe("clip/golden.safetensors", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.message().contains("golden.safetensors"), "{error}");
    assert_eq!(try_describe("nowhere", &[]).unwrap_err().kind(), ErrorKind::UnknownModel);
}

#[test]
fn a_restored_descriptor_is_the_same_and_a_broken_one_is_refused() {
    let model = fixture("vit");
    let descriptor = OnnxProvider.image_embedder(model.to_str().unwrap(), &options(&[("pooling", "mean")])).unwrap();
    let sent = descriptor.to_json().unwrap();
    let restored = OnnxProvider.restore(&sent).unwrap();
    assert_eq!(restored.to_json().unwrap(), sent);
    assert_eq!(restored.capability(), descriptor.capability());
    assert_eq!(restored.weights_hash().unwrap(), descriptor.weights_hash().unwrap());
    for (place, value) in [("/output/width", json!(0)), ("/image/batch", json!(0)), ("/image/layout", json!("hwc"))] {
        let mut broken = sent.clone();
        *broken.pointer_mut(place).unwrap() = value;
        assert_eq!(OnnxProvider.restore(&broken).unwrap_err().kind(), ErrorKind::Config, "{place}");
    }
}
