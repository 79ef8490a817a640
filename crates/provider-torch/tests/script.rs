//! `TorchScript` files against what torch gives for them in Python.

mod support;

use std::path::Path;

use imbed_core::{EmbedOptions, Error, ErrorKind, InputSpec, Provider, options::OptionMap};
use imbed_provider_torch::TorchProvider;
use support::{describe_script, embed, fixture, load, relative_error, script, script_golden, try_load, varied_pixels};

const WIDTH: (&str, &str) = ("embedding_width", "12");
const TOKENS: (&str, &str) = ("embedding_width", "16");

fn error(name: &str, pairs: &[(&'static str, &'static str)], expected: &str) -> f64 {
    let golden = script_golden();
    let embedder = load(&*describe_script(name, pairs).unwrap());
    let got = embed(&*embedder, &golden.pixels());
    relative_error(&got, &golden.vectors(expected).unwrap(), embedder.width())
}

/// A file, the options that a user types, and the golden vectors.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

#[test]
fn every_form_of_output_gives_the_vectors_of_torch() {
    let cases: [Case; 9] = [
        ("forms/vector.pt", &[WIDTH], "vector"),
        ("forms/vector.pt", &[WIDTH, ("channels", "bgr")], "bgr"),
        ("forms/table.ts", &[WIDTH], "vector"),
        ("forms/table.ts", &[TOKENS, ("output", "last_hidden_state"), ("pooling", "cls")], "cls"),
        ("forms/table.ts", &[TOKENS, ("output", "map"), ("pooling", "mean")], "map"),
        ("forms/pair.pt", &[WIDTH, ("output", "1")], "vector"),
        ("forms/pair.pt", &[TOKENS, ("output", "0"), ("pooling", "mean"), ("prefix_tokens", "1")], "mean"),
        // What the config.json beside it says.
        ("vit", &[], "cls"),
        ("vit", &[("pooling", "mean")], "mean"),
    ];
    for (name, pairs, expected) in cases {
        let error = error(name, pairs, expected);
        assert!(error <= 1e-5, "{name} {pairs:?}: {error:e}");
    }
}

#[test]
fn half_precision_stays_near_single_precision() {
    for (dtype, tolerance) in [("f16", 1e-2), ("bf16", 6e-2)] {
        let error = error("forms/vector.pt", &[WIDTH, ("dtype", dtype)], "vector");
        assert!(error <= tolerance && error > 1e-6, "{dtype}: {error:e}");
    }
}

#[test]
fn batches_of_every_size_are_run() {
    let embedder = load(&*describe_script("forms/vector.pt", &[WIDTH]).unwrap());
    let images = varied_pixels(9, 32, 32);
    let together = embed(&*embedder, &images);
    for image in [0, 5, 8] {
        let alone = embed(&*embedder, &images.slice(image..image + 1));
        assert!(relative_error(&alone, &together[image * 12..][..12], 12) <= 1e-5, "image {image}");
    }
}

#[test]
fn preprocessing_is_read_beside_the_file_and_changed_by_options() {
    let recipe = |pairs| match describe_script("forms/vector.pt", pairs).unwrap().input() {
        InputSpec::Pixels(recipe) => recipe.clone(),
        InputSpec::Encoded { .. } => panic!("not pixels"),
    };
    assert_eq!(recipe(&[WIDTH]).to_string(), "RGB, shortest edge 32 bicubic, centre crop 32x32");
    let changed = recipe(&[WIDTH, ("resize", "40"), ("resample", "lanczos"), ("std", "imagenet")]);
    assert_eq!(changed.to_string(), "RGB, shortest edge 40 lanczos, centre crop 32x32");
    assert_eq!((changed.normalize.mean, changed.normalize.std), ([0.5, 0.4, 0.3], [0.229, 0.224, 0.225]));
}

fn plan_error(name: &str, pairs: &[(&'static str, &'static str)]) -> Error {
    describe_script(name, pairs).unwrap_err()
}

fn load_error(name: &str, pairs: &[(&'static str, &'static str)]) -> Error {
    try_load(&*describe_script(name, pairs).unwrap()).map(|_| ()).unwrap_err()
}

#[test]
fn what_a_program_does_not_say_is_asked_for_and_never_guessed() {
    let width = plan_error("forms/vector.pt", &[]);
    assert!(width.hint_text().unwrap().contains("embedding_width"), "{width}");
    let output = load_error("forms/pair.pt", &[WIDTH]);
    assert!(output.hint_text().unwrap().contains("its outputs: 0, 1"), "{output}");
    let pooling = load_error("forms/pair.pt", &[TOKENS, ("output", "0")]);
    assert!(pooling.hint_text().unwrap().contains("--pooling cls"), "{pooling}");
    let prefix = load_error("forms/pair.pt", &[TOKENS, ("output", "0"), ("pooling", "mean")]);
    assert!(prefix.hint_text().unwrap().contains("prefix_tokens"), "{prefix}");
}

#[test]
fn what_is_said_wrongly_is_found_when_the_program_is_loaded() {
    let width = load_error("forms/vector.pt", &[("embedding_width", "13")]);
    assert_eq!(width.kind(), ErrorKind::Dimensions);
    assert!(width.message().contains("[1, 12]") && width.message().contains("vector.pt"), "{width}");
    assert_eq!(load_error("forms/vector.pt", &[WIDTH, ("pooling", "mean")]).kind(), ErrorKind::BadOption);
    assert_eq!(load_error("forms/table.ts", &[WIDTH, ("output", "logits")]).kind(), ErrorKind::BadOption);
    assert_eq!(plan_error("forms/vector.pt", &[WIDTH, ("dimensions", "13")]).kind(), ErrorKind::BadOption);
    assert_eq!(plan_error("forms", &[WIDTH]).kind(), ErrorKind::UnknownModel);
}

/// A file of this name with these bytes, beside the fixtures' preprocessor.
fn beside_preprocessor(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let preprocessor = "preprocessor_config.json";
    std::fs::copy(script("forms").join(preprocessor), folder.path().join(preprocessor)).unwrap();
    std::fs::write(folder.path().join(name), bytes).unwrap();
    folder
}

fn broken(folder: &Path) -> Error {
    let options: EmbedOptions = [WIDTH].into_iter().collect::<OptionMap>().read(TorchProvider.option_specs()).unwrap();
    let descriptor = TorchProvider.image_embedder(folder.to_str().unwrap(), &options).unwrap();
    try_load(&*descriptor).map(|_| ()).unwrap_err()
}

#[test]
fn a_file_that_is_no_program_is_named_with_how_to_write_one() {
    let whole = std::fs::read(script("forms/vector.pt")).unwrap();
    let weights = std::fs::read(fixture("clip-torch").join("pytorch_model.bin")).unwrap();
    for bytes in [&weights, &whole[..whole.len() / 2], b"", b"garbage"] {
        let folder = beside_preprocessor("model.pt", bytes);
        let error = broken(folder.path());
        assert_eq!(error.kind(), ErrorKind::Model, "{error}");
        assert!(error.message().contains("model.pt"), "{error}");
        assert!(error.hint_text().unwrap_or_default().contains("torch.jit.save"), "{error}");
    }
}

#[test]
fn a_descriptor_that_was_tampered_with_is_refused() {
    let mut json = describe_script("forms/vector.pt", &[WIDTH]).unwrap().to_json().unwrap();
    json["readout"]["width"] = serde_json::json!(0);
    assert_eq!(TorchProvider.restore(&json).unwrap_err().kind(), ErrorKind::Config);
}
