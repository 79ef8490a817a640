//! Models by name: fetched from a hub on this machine, planned, sent, and run.

#[path = "../../hub/tests/support/server.rs"]
mod server;
mod support;

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use imbed_core::{EmbedOptions, FetchScope, Provider, Result, fetch::FileChoice};
use imbed_hub::{Checkpoint, Hub, ModelName, Settings};
use imbed_provider_onnx::OnnxProvider;
use serde_json::Value;
use server::{Seen, Server};
use support::{FORMS, Golden, embed, fixture, options, relative_error, try_load};

/// The options of the graph `bare`, whose weights are in a file of their own.
const BARE: [(&str, &str); 6] = [FORMS[0], FORMS[1], FORMS[2], FORMS[3], ("layout", "nchw"), ("embedding_width", "5")];

/// A hub, and a cache that is gone with the test.
struct Place {
    server: Server,
    cache: tempfile::TempDir,
}

/// What a process that was asked for a model says.
struct Said(String);

impl Place {
    fn new() -> Self {
        Self { server: Server::start(), cache: tempfile::tempdir().unwrap() }
    }

    /// Publishes files of the fixtures under other names, and gives the commit.
    fn publish(&self, name: &str, files: &[(&str, &str)]) -> String {
        let read: Vec<(&str, Vec<u8>)> =
            files.iter().map(|(name, fixture_name)| (*name, std::fs::read(fixture(fixture_name)).unwrap())).collect();
        let files: Vec<(&str, &[u8])> = read.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        self.server.publish(name, &files)
    }

    /// The model `clip` as the hub publishes it, with what nobody needs.
    fn with_clip() -> (Self, String) {
        let place = Self::new();
        let commit = place.publish(
            "org/clip",
            &[
                ("config.json", "clip/config.json"),
                ("preprocessor_config.json", "clip/preprocessor_config.json"),
                ("onnx/model.onnx", "clip/onnx/model.onnx"),
                ("onnx/vision_model.onnx", "clip/onnx/vision_model.onnx"),
                ("onnx/vision_model_fp16.onnx", "clip/onnx/vision_model_fp16.onnx"),
                ("onnx/vision_model_quantized.onnx", "clip/onnx/vision_model_quantized.onnx"),
                ("model.safetensors", "clip/golden.safetensors"),
                ("README.md", "README.md"),
            ],
        );
        (place, commit)
    }

    /// Asks for `model` in another process, as the environment says where hub and cache are.
    fn ask(&self, model: &str, pairs: &[(&str, &str)], last: &str, golden: &str, offline: bool) -> Said {
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "answers_what_another_test_asks", "--ignored", "--nocapture"])
            .envs([("ASK_MODEL", model), ("ASK_OPTIONS", &pairs.join(";")), ("ASK_LAST", last), ("ASK_GOLDEN", golden)])
            .envs([("HF_ENDPOINT", self.server.url().as_str()), ("HF_HUB_OFFLINE", if offline { "1" } else { "0" })])
            .env("HF_HUB_CACHE", self.cache.path())
            .env_remove("HF_TOKEN")
            .output()
            .unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}");
        Said(said)
    }

    /// The hub, with the files that the provider reads with these options.
    fn hub(&self, pairs: &[(&'static str, &'static str)]) -> Hub {
        let settings = Settings {
            cache: self.cache.path().to_owned(),
            endpoint: self.server.url(),
            token: None,
            offline: false,
            tries: 2,
            wait: Duration::from_millis(1),
        };
        Hub::new(settings).choosing(OnnxProvider.hub_files(&options(pairs)).unwrap().unwrap())
    }

    fn plan(&self, model: &str, pairs: &[(&str, &str)]) -> Said {
        self.ask(model, pairs, "plan", "", false)
    }

    fn run(&self, model: &str, pairs: &[(&str, &str)], golden: &str) -> Said {
        self.ask(model, pairs, "run", golden, false)
    }

    /// The contents of files that were asked for since the last call.
    fn fetched(&self) -> Vec<String> {
        let name = |seen: &Seen| seen.path.split("/org/").nth(1).unwrap_or(&seen.path).to_owned();
        let is_file = |seen: &&Seen| seen.content || seen.path.contains("resolve-cache");
        let path = |seen: &Seen| name(seen).splitn(3, '/').nth(2).unwrap_or_default().replace("?signature=1", "");
        let mut fetched: Vec<String> = self.server.take_seen().iter().filter(is_file).map(path).collect();
        fetched.sort();
        fetched
    }
}

impl Said {
    /// What stands after `word`, on a line of its own.
    fn after(&self, word: &str) -> &str {
        let found = self.0.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("no '{word}' in: {}", self.0))
    }

    /// The largest relative error of its vectors.
    fn error(&self) -> f64 {
        self.after("relative error").parse().unwrap()
    }
}

#[test]
#[ignore = "for the tests below, which run it in a process of its own"]
fn answers_what_another_test_asks() {
    if let Err(error) = answer() {
        // On one line.
        println!("\nrefused: {}", error.to_string().replace('\n', " "));
    }
}

fn answer() -> Result<()> {
    let variable = |name: &str| std::env::var(name).unwrap();
    let model = variable("ASK_MODEL");
    // Options have static names: the process is short.
    let text: &'static str = variable("ASK_OPTIONS").leak();
    let pairs: Vec<(&str, &str)> = text.split(';').filter_map(|pair| pair.split_once('=')).collect();
    let options: EmbedOptions = options(&pairs);

    OnnxProvider.fetch(&model, &options, FetchScope::Configuration, &mut ())?;
    let descriptor = OnnxProvider.image_embedder(&model, &options)?;
    println!("\nweights: {:?}", descriptor.requirements().weights_bytes);
    let sent = descriptor.to_json()?;
    println!("descriptor: {sent}");
    if variable("ASK_LAST") == "plan" {
        return Ok(());
    }
    OnnxProvider.fetch(&model, &options, FetchScope::Everything, &mut ())?;
    let golden = variable("ASK_GOLDEN");
    let (folder, expected) = golden.split_once('/').unwrap();
    let golden = Golden::of(folder);
    // As on another machine.
    let restored = OnnxProvider.restore(&sent)?;
    assert!(restored.weights_hash()?.unwrap().starts_with("blake3:"));
    let embedder = try_load(&*restored)?;
    let vectors = embed(&*embedder, &golden.pixels());
    println!("relative error: {:e}", relative_error(&vectors, &golden.vectors(expected), embedder.width()));
    Ok(())
}

#[test]
fn a_name_gives_the_vectors_of_transformers_and_then_needs_no_network() {
    let (place, commit) = Place::with_clip();
    let said = place.run("org/clip", &[], "clip/embedding");
    assert!(said.error() <= 1e-4, "{}", said.0);
    assert_eq!(place.fetched(), ["config.json", "onnx/vision_model.onnx", "preprocessor_config.json"]);
    let descriptor: Value = serde_json::from_str(said.after("descriptor")).unwrap();
    let source = &descriptor["source"]["hub"];
    assert_eq!((source["name"].as_str(), source["commit"].as_str()), (Some("org/clip"), Some(commit.as_str())));
    assert!(!descriptor.to_string().contains(&*place.cache.path().to_string_lossy()), "it holds no path");

    assert!(place.run("hf://org/clip", &[], "clip/embedding").error() <= 1e-4);
    assert!(place.run(&format!("org/clip@{commit}"), &[], "clip/embedding").error() <= 1e-4);
    assert!(place.server.take_seen().is_empty(), "what is cached costs no request");
    assert!(place.ask("org/clip", &[], "run", "clip/embedding", true).error() <= 1e-4);
}

#[test]
fn the_variant_that_is_asked_for_is_fetched_and_no_other() {
    let (place, _) = Place::with_clip();
    let said = place.run("org/clip", &[("dtype", "q8")], "clip/embedding");
    assert!(said.error() > 1e-6 && said.error() <= 1e-1, "{}", said.0);
    assert_eq!(place.fetched(), ["config.json", "onnx/vision_model_quantized.onnx", "preprocessor_config.json"]);

    let missing = place.plan("org/clip", &[("dtype", "q4")]);
    let refused = missing.after("refused");
    assert!(refused.contains("org/clip") && refused.contains("model_q4.onnx"), "{refused}");
    assert!(refused.contains("it has dtype f32, f16, q8"), "{refused}");
    assert!(place.fetched().is_empty(), "the list was enough to know it");

    let offline = place.ask("org/clip", &[("dtype", "f16")], "plan", "", true);
    let refused = offline.after("refused");
    assert!(refused.contains("imbed models pull org/clip --provider onnx --dtype f16"), "{refused}");
    assert!(place.server.take_seen().is_empty());
}

#[test]
fn weights_in_a_file_of_their_own_are_not_needed_to_plan() {
    // By the usual name, and by one that only the graph tells.
    for (graph, data) in [("bare.onnx", "bare.onnx_data"), ("onnx/model.onnx", "onnx/bare.onnx_data")] {
        let place = Place::new();
        place.publish("org/bare", &[(graph, "forms/bare.onnx"), (data, "forms/bare.onnx_data"), ("x", "README.md")]);
        let said = place.plan("org/bare", &BARE);
        assert_eq!(said.after("weights"), "None");
        assert_eq!(place.fetched(), [graph]);
        let said = place.run("org/bare", &BARE, "forms/vector");
        assert!(said.error() <= 1e-5, "{}", said.0);
        assert_eq!(place.fetched(), [data]);
        let whole = place.plan("org/bare", &BARE);
        let bytes = |name: &str| Path::metadata(&fixture(name)).unwrap().len();
        let all = bytes("forms/bare.onnx") + bytes("forms/bare.onnx_data");
        assert_eq!(whole.after("weights"), format!("Some({all})"));
        assert!(place.server.take_seen().is_empty(), "what is cached costs no request");
    }
}

#[test]
fn weights_that_the_hub_does_not_have_are_named() {
    let place = Place::new();
    place.publish("org/bare", &[("onnx/model.onnx", "forms/bare.onnx")]);
    let said = place.run("org/bare", &BARE, "forms/vector");
    assert!(said.after("refused").contains("org/bare has no file 'onnx/bare.onnx_data'"), "{}", said.0);
}

#[test]
fn a_file_of_another_name_is_named_by_an_option() {
    let place = Place::new();
    let config = ["config.json", "preprocessor_config.json"].map(|name| format!("visual/{name}"));
    place.publish(
        "org/parts",
        &[
            ("visual/model.onnx", "clip/onnx/vision_model.onnx"),
            ("textual/model.onnx", "clip/onnx/model.onnx"),
            (&config[0], "clip/config.json"),
            (&config[1], "clip/preprocessor_config.json"),
        ],
    );
    let refused = place.plan("org/parts", &[]);
    assert!(refused.after("refused").contains("--option file= one of textual/model.onnx, visual/model.onnx"));
    let said = place.run("org/parts", &[("file", "visual/model.onnx")], "clip/embedding");
    assert!(said.error() <= 1e-4, "{}", said.0);
    assert_eq!(place.fetched(), ["visual/config.json", "visual/model.onnx", "visual/preprocessor_config.json"]);
}

#[test]
fn a_cache_that_another_program_filled_is_used_and_asked_about_once() {
    let (place, _) = Place::with_clip();
    // As a program does that reads the whole model and knows of no parts.
    assert!(place.run("org/clip", &[("file", "onnx/model.onnx")], "clip/unit").error() <= 1e-4);
    place.server.take_seen();
    assert!(place.ask("org/clip", &[], "run", "clip/unit", true).error() <= 1e-4, "offline there is no other");
    assert!(place.run("org/clip", &[], "clip/embedding").error() <= 1e-4, "the hub has a better one");
    assert_eq!(place.fetched(), ["onnx/vision_model.onnx"]);
    assert!(place.run("org/clip", &[], "clip/embedding").error() <= 1e-4);
    assert!(place.server.take_seen().is_empty());
}

#[test]
fn a_model_is_pulled_listed_and_verified_by_the_files_that_the_provider_reads() {
    let (place, commit) = Place::with_clip();
    let hub = place.hub(&[("dtype", "q8")]);
    let name = ModelName::parse("org/clip").unwrap();
    let choices: [Arc<dyn FileChoice>; 2] =
        [Arc::new(Checkpoint), OnnxProvider.hub_files(&EmbedOptions::default()).unwrap().unwrap()];

    hub.fetch(&name, FetchScope::Configuration, &mut ()).unwrap();
    let listed = hub.list(&choices).unwrap();
    assert!(listed[0].missing.is_empty(), "it is whole, whichever variant it is: {:?}", listed[0].missing);
    let graph = listed[0].folder.join("onnx/vision_model_quantized.onnx");
    std::fs::remove_file(&graph).unwrap();
    assert_eq!(hub.list(&choices).unwrap()[0].missing, ["model.safetensors"], "nothing says what it was for");

    let pulled = hub.pull(&name, &mut ()).unwrap();
    assert_eq!(pulled.snapshot.commit, commit);
    assert_eq!(pulled.files, ["config.json", "preprocessor_config.json", "onnx/vision_model_quantized.onnx"]);
    assert_eq!(pulled.downloaded_bytes, 0, "its content was still here");
    let verified = &hub.verify(Some(&name)).unwrap()[0];
    assert_eq!((verified.whole, verified.broken.len(), verified.unknown.len()), (3, 0, 0));

    place.publish(
        "org/bare",
        &[("onnx/model.onnx", "forms/bare.onnx"), ("onnx/bare.onnx_data", "forms/bare.onnx_data")],
    );
    let bare = ModelName::parse("org/bare").unwrap();
    place.hub(&[]).fetch(&bare, FetchScope::Configuration, &mut ()).unwrap();
    let missing = |of: usize| hub.list(&choices).unwrap()[of].missing.clone();
    assert_eq!(missing(0), ["onnx/bare.onnx_data"]);
    assert_eq!(place.hub(&[]).pull(&bare, &mut ()).unwrap().files, ["onnx/model.onnx", "onnx/bare.onnx_data"]);
    assert!(missing(0).is_empty() && missing(1).is_empty());
}

#[test]
fn a_wrong_option_costs_no_request() {
    let (place, _) = Place::with_clip();
    for pair in [("dtype", "int3"), ("device", "metal")] {
        assert!(!place.plan("org/clip", &[pair]).after("refused").is_empty());
    }
    assert!(place.server.take_seen().is_empty());
}
