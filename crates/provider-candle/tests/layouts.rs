//! The layouts in which the same weights are published.

mod support;

use std::{collections::HashMap, path::Path};

use imbed_core::{EmbedOptions, Provider};
use imbed_provider_candle::CandleProvider;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use support::{Golden, embed, fixture, load};

/// A copy of a fixture with other tensor names, some tensors more, and another config.
fn rewritten(
    name: &str,
    rename: impl Fn(&str) -> String,
    more: &[(&str, Vec<usize>)],
    config: impl FnOnce(&mut Value),
) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let read = |file: &str| std::fs::read(fixture(name).join(file)).unwrap();
    std::fs::write(folder.path().join("preprocessor_config.json"), read("preprocessor_config.json")).unwrap();
    let mut json: Value = serde_json::from_slice(&read("config.json")).unwrap();
    config(&mut json);
    std::fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
    let weights = read("model.safetensors");
    let weights = SafeTensors::deserialize(&weights).unwrap();
    let mut tensors: HashMap<String, TensorView<'_>> =
        weights.iter().map(|(name, view)| (rename(name), view)).collect();
    let zeros = vec![0; 1 << 16];
    for (name, shape) in more {
        let bytes = &zeros[..4 * shape.iter().product::<usize>()];
        tensors.insert((*name).to_owned(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap());
    }
    safetensors::serialize_to_file(tensors, None, &folder.path().join("model.safetensors")).unwrap();
    folder
}

fn vectors(folder: &Path, pixels_of: &str) -> Vec<f32> {
    let descriptor = CandleProvider.image_embedder(folder.to_str().unwrap(), &EmbedOptions::default()).unwrap();
    embed(&*load(&*descriptor), &Golden::of(pixels_of).pixels())
}

#[test]
fn a_vit_with_a_classifier_gives_the_class_token() {
    let pooler = |name: &str| {
        if name.starts_with("pooler.") { "classifier.pooler".to_owned() + name } else { format!("vit.{name}") }
    };
    let more = [
        ("classifier.weight", vec![10, 64]),
        ("classifier.bias", vec![10]),
        ("vit.embeddings.mask_token", vec![1, 1, 64]),
    ];
    let folder =
        rewritten("vit", pooler, &more, |config| config["architectures"] = json!(["ViTForImageClassification"]));
    let expected = Golden::of("vit").vectors("cls").unwrap();
    let error = support::relative_error(&vectors(folder.path(), "vit"), &expected, 64);
    assert!(error <= 1e-4, "{error:e}");
}

#[test]
fn a_vision_model_without_projection_is_read_with_the_prefix_and_without() {
    let folder = rewritten("clip-vision-bare", |name| format!("vision_model.{name}"), &[], |_| ());
    assert_eq!(vectors(folder.path(), "clip-vision-bare"), vectors(&fixture("clip-vision-bare"), "clip-vision-bare"));
}

#[test]
fn a_classifier_beside_the_encoder_changes_nothing() {
    let classifier = || vec![("classifier.weight", vec![10, 28]), ("classifier.bias", vec![10])];
    let distilled = vec![("cls_classifier.weight", vec![10, 28]), ("distillation_classifier.weight", vec![10, 28])];
    for (name, prefix, more) in [
        ("dinov2", "dinov2.", classifier()),
        ("dinov2-registers", "dinov2_with_registers.", classifier()),
        ("beit", "beit.", classifier()),
        ("deit", "deit.", distilled),
    ] {
        let folder = rewritten(name, |tensor| format!("{prefix}{tensor}"), &more, |_| ());
        assert_eq!(vectors(folder.path(), name), vectors(&fixture(name), name), "{name}");
    }
}

#[test]
fn the_spellings_of_transformers_5_are_read() {
    let inside = |name: &str| if name.starts_with("layer.") { format!("model.{name}") } else { name.to_owned() };
    let folder = rewritten("dinov3", inside, &[], |_| ());
    assert_eq!(vectors(folder.path(), "dinov3"), vectors(&fixture("dinov3"), "dinov3"));
    for name in ["siglip-bare", "aimv2-native"] {
        let folder = rewritten(name, |tensor| format!("vision_model.{tensor}"), &[], |_| ());
        assert_eq!(vectors(folder.path(), name), vectors(&fixture(name), name), "{name}");
    }
}

#[test]
fn a_clip_saved_by_an_older_transformers_is_read() {
    // transformers 4 wrote the number type under another name, nulls, and constant position numbers.
    let more =
        [("vision_model.embeddings.position_ids", vec![1, 17]), ("text_model.embeddings.position_ids", vec![1, 8])];
    let folder = rewritten("clip", str::to_owned, &more, |config| {
        config["torch_dtype"] = json!("float32");
        config["transformers_version"] = Value::Null;
        config.as_object_mut().unwrap().remove("dtype");
        config["vision_config"]["num_channels"] = Value::Null;
        config["vision_config"].as_object_mut().unwrap().remove("hidden_act");
    });
    assert_eq!(vectors(folder.path(), "clip"), vectors(&fixture("clip"), "clip"));
}
