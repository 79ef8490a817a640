//! Models by name: downloaded from a hub on this machine, found in the cache, listed, verified, removed.

use std::{
    fs,
    path::PathBuf,
    process::{Command as Process, Stdio},
    time::Duration,
};

use assert_cmd::Command;
use serde_json::Value;

use crate::{
    fixture::{Embedded, Folder, provenance, stderr, stdout},
    server::{Seen, Server, What},
};

/// A small checkpoint of the candle provider's tests.
fn checkpoint(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "provider-candle", "tests", "fixtures", name].iter().collect()
}

/// Publishes a small checkpoint under `name`, with files that nobody needs, and another config where one is given.
fn publish(server: &Server, fixture: &str, name: &str, config: Option<&[u8]>) {
    let read = |file: &str| fs::read(checkpoint(fixture).join(file)).unwrap();
    let original = read("config.json");
    server.publish(
        name,
        &[
            ("config.json", config.unwrap_or(&original)),
            ("preprocessor_config.json", &read("preprocessor_config.json")),
            ("model.safetensors", &read("model.safetensors")),
            ("pytorch_model.bin", b"not wanted"),
            ("README.md", b"not wanted"),
        ],
    );
}

fn hub_with(name: &str) -> Server {
    let server = Server::start();
    publish(&server, "clip", name, None);
    server
}

/// `imbed ARGS` with the network on, and with `server` as the hub.
fn online(folder: &Folder, server: &Server, args: &[&str]) -> Command {
    let mut command = folder.imbed(args);
    command.env_remove("HF_HUB_OFFLINE").env("HF_ENDPOINT", server.url());
    command
}

fn of_weights(seen: &[Seen]) -> usize {
    seen.iter().filter(|s| s.content).count()
}

#[test]
fn a_model_on_the_hub_is_downloaded_once_and_then_needs_no_network() {
    let (folder, server) = (Folder::with_shots(3), hub_with("org/clip"));
    let args = ["embed", "shots", "--model", "org/clip", "-o", "a.parquet"];
    let message = stderr(&online(&folder, &server, &args).assert().code(0));
    let first = message.lines().next().unwrap();
    assert!(first.starts_with("downloading org/clip from 127.0.0.1:"), "{message}");
    assert!(first.contains("1 file") && first.contains("--offline"), "the configuration was here: {first}");
    assert_eq!(of_weights(&server.take_seen()), 1);
    let named = Embedded::read(&folder.path("a.parquet"));
    assert_eq!(provenance(&named)["imbed.model"], "org/clip");
    let path = checkpoint("clip");
    assert_eq!(named.vectors(), folder.embed(&["shots", "--model", path.to_str().unwrap()]).vectors());

    let args = ["embed", "shots", "--model", "hf://org/clip", "-o", "b.parquet"];
    let message = stderr(&online(&folder, &server, &args).assert().code(0));
    assert!(!message.contains("downloading"), "{message}");
    assert!(server.take_seen().is_empty(), "what is cached costs no request");
    drop(server);
    assert_eq!(folder.embed(&["shots", "--model", "org/clip"]).vectors(), named.vectors());
    assert_eq!(folder.embed(&["shots", "--model", "org/clip@main", "--offline"]).vectors(), named.vectors());
}

#[test]
fn the_plan_needs_the_configuration_alone() {
    let (folder, server) = (Folder::with_shots(1), hub_with("org/clip"));
    let text =
        stdout(&online(&folder, &server, &["embed", "shots", "--model", "org/clip", "--explain"]).assert().code(0));
    assert!(text.contains("48"), "the dimensions: {text}");
    let seen = server.take_seen();
    assert!(seen.iter().all(|s| !s.path.contains("safetensors")), "{seen:?}");
    let assert = folder.imbed(&["embed", "shots", "--model", "org/other", "--explain"]).assert().code(2);
    assert!(stderr(&assert).contains("imbed models pull org/other"), "{}", stderr(&assert));
}

#[test]
fn a_mistake_elsewhere_is_found_before_the_weights_are_downloaded() {
    let (folder, server) = (Folder::with_shots(1), hub_with("org/clip"));
    for args in [
        &["embed", "nowhere", "--model", "org/clip", "-o", "a.parquet"][..],
        &["embed", "shots", "--model", "org/clip", "--dimensions", "4000", "-o", "a.parquet"],
    ] {
        online(&folder, &server, args).assert().code(2);
    }
    assert_eq!(of_weights(&server.take_seen()), 0);
}

#[test]
fn offline_nothing_is_asked_and_the_message_says_how_to_get_the_model() {
    let (folder, server) = (Folder::with_shots(1), hub_with("org/clip"));
    let embed = ["embed", "shots", "--model", "org/clip", "-o", "a.parquet"];
    let refuse = |mut command: Command| {
        let message = stderr(&command.assert().code(2));
        assert!(message.contains("org/clip is not downloaded"), "{message}");
        assert!(message.contains("imbed models pull org/clip"), "{message}");
    };
    refuse(online(&folder, &server, &[&embed[..], &["--offline"]].concat()));
    refuse(online(&folder, &server, &["models", "pull", "org/clip", "--offline"]));
    let mut command = online(&folder, &server, &embed);
    command.env("HF_HUB_OFFLINE", "1");
    refuse(command);
    let mut command = online(&folder, &server, &embed);
    command.env("IMBED_OFFLINE", "1");
    refuse(command);
    folder.write("imbed.toml", b"offline = true\n");
    refuse(online(&folder, &server, &embed));
    refuse(online(&folder, &server, &["models", "pull", "org/clip"]));
    assert!(server.take_seen().is_empty());
}

#[test]
fn a_local_provider_without_a_model_takes_its_usual_one_from_the_hub() {
    let usual = "openai/clip-vit-base-patch32";
    let (folder, server) = (Folder::with_shots(1), Server::start());
    // Many of the older models have weights of `torch.save` alone.
    let files: Vec<(&str, Vec<u8>)> = ["config.json", "preprocessor_config.json", "pytorch_model.bin"]
        .map(|file| (file, fs::read(checkpoint("clip-torch").join(file)).unwrap()))
        .into();
    server.publish(usual, &files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect::<Vec<_>>());
    let args = ["embed", "shots", "--provider", "transformers", "-o", "a.parquet"];
    let message = stderr(&online(&folder, &server, &args).assert().code(0));
    assert!(message.starts_with(&format!("downloading {usual} from ")), "{message}");
    assert_eq!(message.matches("--offline").count(), 1, "one line says how to stay offline: {message}");
    assert_eq!(provenance(&Embedded::read(&folder.path("a.parquet")))["imbed.model"], usual);
    let args = ["embed", "shots", "--provider", "candle", "-o", "b.parquet"];
    assert!(!stderr(&online(&folder, &server, &args).assert().code(0)).contains("downloading"));
    server.take_seen();

    let message = stderr(&online(&folder, &server, &["embed", "shots", "-o", "c.parquet"]).assert().code(0));
    let first = message.lines().next().unwrap();
    assert!(first.contains("imbed/tiny") && first.contains("offline") && first.contains(usual), "{first}");
    assert!(server.take_seen().is_empty());
}

#[test]
fn a_model_that_only_open_clip_describes_is_downloaded_by_its_own_names() {
    let (folder, server) = (Folder::with_shots(2), Server::start());
    let files: Vec<(&str, Vec<u8>)> = ["open_clip_config.json", "open_clip_model.safetensors"]
        .map(|file| (file, fs::read(checkpoint("open-clip").join(file)).unwrap()))
        .into();
    let mut published: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    published.push(("open_clip_pytorch_model.bin", b"not wanted"));
    server.publish("org/open", &published);
    online(&folder, &server, &["embed", "shots", "--model", "org/open", "-o", "a.parquet"]).assert().code(0);
    let path = checkpoint("open-clip");
    let expected = folder.embed(&["shots", "--model", path.to_str().unwrap()]).vectors();
    assert_eq!(Embedded::read(&folder.path("a.parquet")).vectors(), expected);
}

#[test]
fn weights_that_say_more_than_their_configuration_are_believed() {
    let (folder, server) = (Folder::with_shots(2), Server::start());
    // A class without a pooler, over weights that have one.
    let config = fs::read(checkpoint("vit").join("config.json")).unwrap();
    let mut config: Value = serde_json::from_slice(&config).unwrap();
    config["architectures"] = serde_json::json!(["ViTForImageClassification"]);
    publish(&server, "vit", "org/vit", Some(config.to_string().as_bytes()));
    online(&folder, &server, &["embed", "shots", "--model", "org/vit", "-o", "a.parquet"]).assert().code(0);
    let path = checkpoint("vit");
    let expected = folder.embed(&["shots", "--model", path.to_str().unwrap()]).vectors();
    assert_eq!(Embedded::read(&folder.path("a.parquet")).vectors(), expected);
}

#[test]
fn what_the_hub_refuses_has_an_exit_code_and_a_next_step_and_no_secret_is_printed() {
    let (folder, server) = (Folder::with_shots(1), hub_with("openai/clip-vit"));
    let pull = |name: &str, code: i32| {
        let mut command = online(&folder, &server, &["models", "pull", name]);
        stderr(&command.env("HF_TOKEN", "hf_secret").assert().code(code))
    };
    let missing = pull("openai/clip-vitt", 2);
    assert!(missing.contains("did you mean openai/clip-vit?"), "{missing}");
    assert!(pull("clip", 2).contains("org/name"));
    assert!(pull("openai/clip-vit@v7", 2).contains("no revision 'v7'"));
    server.gate("openai/clip-vit", "hf_other");
    let gated = pull("openai/clip-vit", 3);
    assert!(gated.contains("gated") && gated.contains(&server.url()), "{gated}");
    for message in [missing, gated] {
        assert!(!message.contains("hf_secret"), "{message}");
    }
    let args = ["models", "pull", "openai/clip-vit@v1", "--revision", "main"];
    online(&folder, &server, &args).assert().code(2);
}

#[test]
fn a_provider_says_which_files_are_pulled() {
    let (folder, server) = (Folder::new(), hub_with("org/clip"));
    let pull = |args: &[&str], code: i32| {
        let args = [&["models", "pull", "org/clip"], args].concat();
        let assert = online(&folder, &server, &args).assert().code(code);
        (stdout(&assert), stderr(&assert))
    };
    let (_, unknown) = pull(&["--provider", "nobody"], 2);
    assert!(unknown.contains("'nobody'") && unknown.contains("candle"), "{unknown}");
    let (_, wrong) = pull(&["--option", "nothing=1"], 2);
    assert!(wrong.contains("'nothing'"), "{wrong}");
    assert!(server.take_seen().is_empty());
    let (said, _) = pull(&["--provider", "candle", "--dtype", "f32"], 0);
    assert!(said.contains("3 files"), "{said}");
}

#[test]
fn two_processes_download_each_file_once() {
    let (folder, server) = (Folder::new(), hub_with("org/clip"));
    server.fault("model.safetensors", true, 1, What::Slow(Duration::from_millis(700)));
    let start = || {
        let mut process = Process::new(assert_cmd::cargo::cargo_bin("imbed"));
        process.args(["models", "pull", "org/clip"]).env("HF_ENDPOINT", server.url()).env("HF_HOME", folder.path("hf"));
        process.env_remove("HF_HUB_OFFLINE").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let outputs = [start(), start()].map(|process| process.wait_with_output().unwrap());
    for output in &outputs {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let seen = server.take_seen();
    assert_eq!(of_weights(&seen), 1, "{seen:?}");
    let verified = stdout(&folder.imbed(&["models", "verify", "--json"]).assert().code(0));
    let verified: Value = serde_json::from_str(&verified).unwrap();
    assert_eq!((&verified[0]["whole"], verified.as_array().unwrap().len()), (&Value::from(3), 1));
}

#[test]
fn the_cache_is_listed_verified_and_cleared() {
    let (folder, server) = (Folder::new(), hub_with("org/clip"));
    let json = |args: &[&str], code: i32| -> Value {
        serde_json::from_str(&stdout(&online(&folder, &server, args).assert().code(code))).unwrap()
    };
    assert!(stdout(&folder.imbed(&["models", "list"]).assert().code(0)).contains("imbed models pull"));
    let pulled = json(&["models", "pull", "org/clip", "--json"], 0);
    assert_eq!(pulled["files"].as_array().unwrap().len(), 3);
    assert_eq!(pulled["bytes"], pulled["downloaded_bytes"]);
    let again = stdout(&online(&folder, &server, &["models", "pull", "org/clip"]).assert().code(0));
    assert!(again.contains("all here already"), "{again}");
    let listed = json(&["models", "list", "--json"], 0);
    assert_eq!((&listed[0]["name"], &listed[0]["complete"]), (&Value::from("org/clip"), &Value::from(true)));
    assert_eq!(listed[0]["revisions"][0], "main");
    let text = stdout(&folder.imbed(&["models", "list"]).assert().code(0));
    assert!(text.contains("org/clip  main") && text.contains("today") && text.contains("complete"), "{text}");

    let file = PathBuf::from(pulled["folder"].as_str().unwrap()).join("model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(fs::canonicalize(&file).unwrap(), bytes).unwrap();
    let text = stdout(&folder.imbed(&["models", "verify", "org/clip"]).assert().code(1));
    assert!(text.contains("broken: ") && text.contains("model.safetensors"), "{text}");
    assert!(text.contains("imbed models remove org/clip"), "{text}");
    folder.imbed(&["models", "verify", "org/none"]).assert().code(2);

    assert_eq!(json(&["models", "remove", "org/clip", "--json"], 0)["name"], "org/clip");
    assert_eq!(json(&["models", "list", "--json"], 0), Value::Array(vec![]));
    folder.imbed(&["models", "remove", "org/clip"]).assert().code(2);
    let builtin = stdout(&folder.imbed(&["models", "pull", "imbed/tiny"]).assert().code(0));
    assert!(builtin.contains("nothing to download"), "{builtin}");
}
