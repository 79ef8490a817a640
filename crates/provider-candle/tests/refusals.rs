//! What is refused, and that each refusal names the culprit and the next step.

mod support;

use std::{
    num::{NonZeroU32, NonZeroUsize},
    path::Path,
};

use imbed_core::{
    Device, EmbedOptions, EncodedImage, Error, ErrorKind, ImageBatch, PixelBatch, Provider,
    options::{Dtype, Pooling},
};
use imbed_provider_candle::CandleProvider;
use serde_json::{Value, json};
use support::{RAGGED, describe, fixture, load, varied_pixels};

/// A copy of a fixture that a test may spoil.
fn copy_of(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture(name)).unwrap().flatten() {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn edit(folder: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(file);
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut json);
    std::fs::write(path, json.to_string()).unwrap();
}

fn options(change: impl FnOnce(&mut EmbedOptions)) -> EmbedOptions {
    let mut options = EmbedOptions::default();
    change(&mut options);
    options
}

fn describe_error(folder: &Path) -> Error {
    CandleProvider.image_embedder(folder.to_str().unwrap(), &EmbedOptions::default()).unwrap_err()
}

fn load_error(folder: &Path) -> Error {
    let descriptor = CandleProvider.image_embedder(folder.to_str().unwrap(), &EmbedOptions::default()).unwrap();
    descriptor.instantiate(Device::Cpu).unwrap_err()
}

#[test]
fn a_folder_without_one_of_its_files_names_that_file() {
    for file in ["config.json", "preprocessor_config.json", "model.safetensors"] {
        let folder = copy_of("clip");
        std::fs::remove_file(folder.path().join(file)).unwrap();
        let error = describe_error(folder.path());
        assert_eq!(error.kind(), ErrorKind::UnknownModel, "{error}");
        assert!(error.message().contains(file) && error.hint_text().is_some(), "{error}");
    }
}

#[test]
fn a_shard_that_is_not_there_is_named() {
    let folder = copy_of("vit-bf16-sharded");
    let shard = "model-00002-of-00004.safetensors";
    std::fs::remove_file(folder.path().join(shard)).unwrap();
    assert!(describe_error(folder.path()).message().contains(shard));
}

#[test]
fn a_config_with_more_layers_than_the_weights_names_the_first_missing_tensor() {
    let folder = copy_of("vit");
    edit(folder.path(), "config.json", |config| config["num_hidden_layers"] = json!(3));
    let error = load_error(folder.path());
    assert!(error.message().contains("'encoder.layer.2.") && error.message().contains("missing"), "{error}");
}

#[test]
fn a_config_with_fewer_layers_than_the_weights_names_an_unexpected_tensor() {
    let folder = copy_of("clip");
    edit(folder.path(), "config.json", |config| config["vision_config"]["num_hidden_layers"] = json!(1));
    let error = load_error(folder.path());
    assert!(error.message().contains("unexpected tensor 'vision_model.encoder.layers.1."), "{error}");
}

#[test]
fn a_width_that_the_weights_do_not_have_names_tensor_and_shapes() {
    let folder = copy_of("clip");
    edit(folder.path(), "config.json", |config| config["projection_dim"] = json!(50));
    let error = load_error(folder.path());
    assert!(error.message().contains("visual_projection.weight"), "{error}");
    assert!(error.message().contains("[48, 64]") && error.message().contains("[50, 64]"), "{error}");
}

#[test]
fn broken_files_are_named() {
    let folder = copy_of("clip");
    std::fs::write(folder.path().join("config.json"), "{\"model_type\": ").unwrap();
    assert!(describe_error(folder.path()).message().contains("config.json: not valid JSON"));
    let folder = copy_of("clip");
    let path = folder.path().join("model.safetensors");
    let weights = std::fs::read(&path).unwrap();
    std::fs::write(&path, &weights[..weights.len() / 2]).unwrap();
    let error = describe_error(folder.path());
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.message().contains("model.safetensors"), "{error}");
}

#[test]
fn a_preprocessor_for_another_size_is_refused() {
    let folder = copy_of("clip");
    edit(folder.path(), "preprocessor_config.json", |config| config["crop_size"] = json!({"height": 64, "width": 64}));
    let error = describe_error(folder.path());
    assert!(error.message().contains("64 x 64") && error.message().contains("32 x 32"), "{error}");
}

#[test]
fn options_that_the_model_cannot_honour_are_refused_when_it_is_described() {
    let model = fixture("clip");
    let refused = |options: EmbedOptions| {
        let error = CandleProvider.image_embedder(model.to_str().unwrap(), &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadOption, "{error}");
        assert!(error.hint_text().is_some(), "{error}");
        error.message().to_owned()
    };
    assert!(refused(options(|o| o.dimensions = NonZeroUsize::new(49))).contains("49"));
    assert!(refused(options(|o| o.pooling = Some(Pooling::Mean))).contains("mean"));
    assert!(refused(options(|o| o.extra = [("tempreature".to_owned(), json!(1))].into())).contains("tempreature"));
    if cfg!(not(any(feature = "cuda", feature = "metal"))) {
        assert!(refused(options(|o| o.dtype = Some(Dtype::F16))).contains("f16"));
    }
}

#[test]
fn half_precision_is_refused_on_the_cpu_and_the_others_are_not() {
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::Int8, Dtype::Auto] {
        assert!(describe("clip", &options(|o| o.dtype = Some(dtype))).instantiate(Device::Cpu).is_ok(), "{dtype}");
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_gpu_that_the_build_cannot_use_is_a_device_error() {
    let error = describe("clip", &EmbedOptions::default()).instantiate(Device::Cuda(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Device);
}

#[test]
fn a_cut_shows_in_the_dimensions_and_leaves_the_embedder_its_width() {
    let descriptor = describe("clip", &options(|o| o.dimensions = NonZeroUsize::new(10)));
    assert_eq!(descriptor.dimensions().size, 10);
    assert_eq!(load(&*descriptor).width(), 48);
}

#[test]
fn a_batch_that_does_not_fit_the_model_is_refused() {
    let embedder = load(&*describe("clip", &EmbedOptions::default()));
    let embed = |batch: ImageBatch<'_>, room: usize| embedder.embed(batch, &mut vec![0.0; room]).unwrap_err();
    let wrong_size = varied_pixels(2, 32, 31);
    assert_eq!(embed(ImageBatch::Pixels(&wrong_size), 96).kind(), ErrorKind::BadInput);
    let pixels = varied_pixels(2, 32, 32);
    assert_eq!(embed(ImageBatch::Pixels(&pixels), 95).kind(), ErrorKind::Dimensions);
    let encoded = [EncodedImage { bytes: vec![1].into(), media_type: "image/png" }];
    assert_eq!(embed(ImageBatch::Encoded(&encoded), 48).kind(), ErrorKind::BadInput);
    let none = varied_pixels(0, 32, 32);
    assert!(embedder.embed(ImageBatch::Pixels(&none), &mut []).is_ok());
}

#[test]
fn an_image_size_that_the_model_cannot_read_is_refused() {
    let sized = |model: &str, side: u32| {
        let options = options(|o| o.image_size = NonZeroU32::new(side));
        let error = CandleProvider.image_embedder(model, &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadOption, "{model}: {error}");
        assert!(error.hint_text().is_some(), "{model}: {error}");
    };
    let path = |name: &str| fixture(name).to_str().unwrap().to_owned();
    sized("imbed/tiny", 128);
    sized(&path("aimv2-lit"), 48);
    sized(&path("beit"), 48);
    sized(&path(RAGGED), 64);
    sized(&path("vit-bf16-sharded"), 48);
    // Less than a patch, and more tokens than can be computed.
    sized(&path("clip"), 7);
    sized(&path("dinov2"), 8 * 200);
    let own = options(|o| o.image_size = NonZeroU32::new(64));
    assert!(CandleProvider.image_embedder("imbed/tiny", &own).is_ok(), "its own size is no other");
}

#[test]
fn images_that_are_not_whole_patches_are_refused() {
    let embedder = load(&*describe(RAGGED, &EmbedOptions::default()));
    for (rows, columns) in [(12, 16), (16, 12), (8 * 5, 8 * 5), (8, 8 * 25)] {
        let mut batch = PixelBatch::ragged(2);
        batch.push(&[0; 16 * 16 * 3], 16, 16);
        batch.push(&vec![0; rows * columns * 3], rows, columns);
        let mut out = vec![0.0; 2 * embedder.width()];
        let error = embedder.embed(ImageBatch::Pixels(&batch), &mut out).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput, "{error}");
        assert!(error.message().contains(&format!("{rows} x {columns}")), "{error}");
    }
}

#[test]
fn a_part_of_a_family_that_is_missing_is_named() {
    for (name, edit_config, missing) in [
        ("dinov2", ("use_swiglu_ffn", json!(true)), "encoder.layer.0.mlp.weights_in.weight"),
        ("dinov2-registers", ("num_hidden_layers", json!(3)), "encoder.layer.2."),
        ("dinov3", ("use_gated_mlp", json!(true)), "layer.0.mlp.gate_proj.weight"),
        ("dinov3", ("key_bias", json!(true)), "layer.0.attention.k_proj.bias"),
        ("aimv2-native", ("use_head", json!(true)), "head.cls_token"),
        ("siglip-bare", ("vision_use_head", json!(true)), "head.probe"),
        ("beit", ("num_hidden_layers", json!(3)), "encoder.layer.2."),
        ("deit", ("num_hidden_layers", json!(4)), "encoder.layer.2."),
    ] {
        let folder = copy_of(name);
        edit(folder.path(), "config.json", |config| config[edit_config.0] = edit_config.1.clone());
        let error = load_error(folder.path());
        assert!(error.message().contains(missing) && error.message().contains("missing"), "{name}: {error}");
    }
}

#[test]
fn a_part_that_the_config_does_not_tell_of_is_named() {
    for (name, key, value, unexpected) in [
        ("dinov2", "num_hidden_layers", json!(1), "encoder.layer.1."),
        ("dinov3", "query_bias", json!(false), "layer.0.attention.q_proj.bias"),
        ("dinov3-gated", "use_gated_mlp", json!(false), "layer.0.mlp.gate_proj.weight"),
    ] {
        let folder = copy_of(name);
        edit(folder.path(), "config.json", |config| config[key] = value.clone());
        let error = load_error(folder.path());
        assert!(error.message().contains(unexpected) && error.message().contains("unexpected"), "{name}: {error}");
    }
}

#[test]
fn a_descriptor_that_was_tampered_with_is_refused() {
    let mut json = describe("clip", &EmbedOptions::default()).to_json().unwrap();
    json["architecture"]["heads"] = json!(0);
    assert!(CandleProvider.restore(&json).is_err());
    for (name, field, value) in [
        ("clip", "prefix", json!(0)),
        ("clip", "image", json!({"fixed": [0, 32]})),
        ("clip", "positions", json!({"learnt": {"grid": [5, 5], "resized": "never"}})),
        ("dinov2", "positions", json!({"learnt": {"grid": [0, 7], "resized": {"always": "bicubic"}}})),
        ("dinov3", "positions", json!({"rotary": {"theta": -1.0}})),
        ("dinov3", "heads", json!(16)),
        ("dinov2", "prefix", json!(0)),
        ("clip", "mlp", json!("gated")),
        ("aimv2-lit", "norm", json!("layer")),
        ("siglip", "pooling", json!("cls")),
        ("siglip", "attention_pool", json!(null)),
        (RAGGED, "image", json!({"patches": 1 << 20})),
        (RAGGED, "stem", json!({"patches": [0, 8]})),
        ("aimv2-lit", "norm_eps", json!(7.0)),
    ] {
        let mut json = describe(name, &EmbedOptions::default()).to_json().unwrap();
        json["architecture"][field] = value.clone();
        assert!(CandleProvider.restore(&json).is_err(), "{name}: {field} = {value}");
    }
    assert_eq!(CandleProvider.restore(&json!({"model": "x"})).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn a_hash_tells_weights_apart_and_not_names() {
    let hash = |name: &str| describe(name, &EmbedOptions::default()).weights_hash().unwrap().unwrap();
    assert!(hash("clip").starts_with("blake3:"));
    assert_eq!(hash("clip").len(), "blake3:".len() + 64);
    assert_ne!(hash("clip"), hash("vit"));
    let copy = copy_of("clip");
    let copied = CandleProvider.image_embedder(copy.path().to_str().unwrap(), &EmbedOptions::default()).unwrap();
    assert_eq!(copied.weights_hash().unwrap().unwrap(), hash("clip"));
}
