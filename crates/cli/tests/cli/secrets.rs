//! Secrets of every sort go through every command, and everything that comes out is searched for them.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arrow_array::{ArrayRef, BinaryArray, StructArray};
use arrow_schema::{DataType, Field};
use assert_cmd::Command;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{
    fixture::{Folder, batch, png, texts, write_parquet},
    server::Server,
    web::Web,
};

/// Part of every secret below, and of nothing else.
const CANARY: &str = "canary-7c1e";

/// Variables that hold keys.
const VARIABLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "COHERE_API_KEY",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
    "HF_TOKEN",
    "INFINITY_API_KEY",
    "JINA_API_KEY",
    "OPENAI_API_KEY",
    "VOYAGE_API_KEY",
];

/// A folder that knows which of its files held secrets from the beginning.
struct Searched {
    folder: Folder,
    given: Vec<PathBuf>,
}

impl Searched {
    fn new() -> Self {
        let folder = Folder::with_shots(2);
        folder.write("shots/broken.png", b"I am no image.");
        Self { folder, given: Vec::new() }
    }

    fn give(&mut self, name: &str, text: &str) {
        self.folder.write(name, text.as_bytes());
        self.given.push(self.folder.path(name));
    }

    /// Runs `imbed ARGS` with all logs, and searches what it printed.
    fn run(&self, args: &[&str]) -> String {
        self.run_with(args, |command| command)
    }

    fn run_with(&self, args: &[&str], with: impl Fn(&mut Command) -> &mut Command) -> String {
        let mut all = String::new();
        for logs in [&["--log-level", "trace"][..], &["--log-level", "trace", "--log-format", "json"], &[]] {
            let mut command = self.folder.imbed(&[args, logs].concat());
            for name in VARIABLES {
                command.env(name, format!("{CANARY}-{name}"));
            }
            command.env("RUST_BACKTRACE", "1");
            let output = with(&mut command).output().unwrap();
            let text = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
            assert!(!text.contains(CANARY), "{args:?} {logs:?}: {text}");
            assert!(output.status.code().is_some_and(|code| code <= 3), "{args:?}: {text}");
            all += &text;
        }
        self.search(&self.folder.path("."));
        all
    }

    /// Searches every file below `place`, and what is in tables once they are read.
    fn search(&self, place: &Path) {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.search(&path);
            } else if !self.given.iter().any(|given| same(given, &path)) {
                let mut bytes = fs::read(&path).unwrap();
                bytes.extend(tables(&path).into_bytes());
                let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
}

fn same(a: &Path, b: &Path) -> bool {
    a.canonicalize().unwrap() == b.canonicalize().unwrap()
}

/// All that a table says, metadata included, without compression and encodings.
fn tables(path: &Path) -> String {
    match path.extension().and_then(|e| e.to_str()) {
        Some("parquet") => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
            let about = format!("{:?} {:?}", reader.metadata(), reader.schema());
            let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
            format!("{about} {batches:?}")
        }
        Some("arrow") => {
            let reader = arrow_ipc::reader::FileReader::try_new(File::open(path).unwrap(), None).unwrap();
            let about = format!("{:?} {:?}", reader.schema(), reader.custom_metadata());
            let batches: Vec<_> = reader.map(Result::unwrap).collect();
            format!("{about} {batches:?}")
        }
        _ => String::new(),
    }
}

#[test]
fn keys_of_the_environment_stay_there() {
    let it = Searched::new();
    for output in ["out.parquet", "out.arrow", "out.jsonl", "out.npy"] {
        let skip = ["--on-error", "log", "--errors-column", "--cache", "vectors"];
        it.run(&[&["embed", "shots", "-o", output, "--overwrite"], &skip[..]].concat());
    }
    for args in [
        &["embed", "shots", "-o", "x.parquet"][..],
        &["embed", "shots", "--explain"],
        &["embed", "shots", "-o", "y.parquet", "--json", "--on-error", "ignore", "--overwrite"],
        &["embed", "shots", "--model", "org/nowhere", "-o", "x.parquet"],
        &["inspect", "out.parquet"],
        &["inspect", "out.parquet", "--json"],
        &["similar", "out.parquet", "--row", "0"],
        &["models"],
        &["models", "list"],
        &["providers", "--json"],
    ] {
        it.run(args);
    }
}

#[test]
fn keys_given_as_options_are_repeated_by_no_message() {
    let it = Searched::new();
    let key = format!("api_key={CANARY}");
    let said = it.run(&["embed", "shots", "--option", &key, "-o", "out.parquet"]);
    assert!(said.contains("api_key"), "{said}");
    it.run(&["embed", "shots", "--option", &key, "--explain", "--provider", "nobody"]);
    let said =
        it.run_with(&["embed", "shots", "-o", "out.parquet"], |command| command.env("IMBED_OPTIONS_API_KEY", CANARY));
    assert!(said.contains("api_key"), "{said}");
}

#[test]
fn keys_in_the_configuration_are_repeated_by_no_message_broken_or_whole() {
    for (number, config) in [
        format!("[options]\napi_key = \"{CANARY}\"\n"),
        format!("provider = \"x\"\n[providers.x]\nprovider = \"candle\"\noptions = {{ api_key = \"{CANARY}\" }}\n"),
        format!("provider = \"x\"\n[providers.x]\nprovider = \"candle\"\napi_key = \"{CANARY}\"\n"),
        format!("[options]\napi_key = \"{CANARY}\n"),
        format!("[options]\napi_key = {CANARY}\n"),
        format!("api_key = \"{CANARY}\"\n"),
        format!("[options\napi_key = \"{CANARY}\"\n"),
        format!("options = \"{CANARY}\"\n"),
    ]
    .iter()
    .enumerate()
    {
        let mut it = Searched::new();
        it.give("imbed.toml", config);
        for args in [&["embed", "shots", "-o", "out.parquet"][..], &["embed", "shots", "--explain"], &["models"]] {
            let said = it.run(args);
            assert!(!said.is_empty() || args[0] == "models", "{number}");
        }
    }
}

#[test]
fn the_token_of_the_hub_goes_to_the_hub_alone() {
    let mut it = Searched::new();
    it.give("hf/token", CANARY);
    let server = Server::start();
    server.publish("org/gated", &[("config.json", b"{}"), ("model.safetensors", b"x")]);
    for args in [
        &["models", "pull", "org/gated"][..],
        &["models", "pull", "org/none"],
        &["embed", "shots", "--model", "org/gated", "-o", "out.parquet"],
        &["models", "verify"],
    ] {
        it.run_with(args, |command| command.env_remove("HF_HUB_OFFLINE").env("HF_ENDPOINT", server.url()));
        it.run_with(args, |command| {
            command.env_remove("HF_HUB_OFFLINE").env_remove("HF_TOKEN").env("HF_ENDPOINT", server.url())
        });
        // A proxy that is not there, with a password.
        it.run_with(args, |command| {
            let proxy = format!("http://me:{CANARY}@127.0.0.1:9");
            command.env_remove("HF_HUB_OFFLINE").env("HF_ENDPOINT", "http://hub.invalid").env("HTTP_PROXY", proxy)
        });
    }
}

#[test]
fn passwords_and_signatures_of_addresses_are_in_no_message_and_no_metadata() {
    let it = Searched::new();
    let web = Web::start(vec![("/a.png".to_owned(), png(0))], Duration::ZERO);
    let secret =
        |path: &str| web.url(&format!("{path}?sig={CANARY}")).replace("http://", &format!("http://me:{CANARY}@"));
    // The addresses are in the column of images, which is not carried.
    let places = texts(&[&secret("/a.png"), &secret("/none.png"), &format!("https://me:{CANARY}@10.0.0.1/x")]);
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter([None::<&[u8]>, None, None]));
    let member = |name: &str, kind: DataType| Arc::new(Field::new(name, kind, true));
    let image =
        StructArray::from(vec![(member("bytes", DataType::Binary), bytes), (member("path", DataType::Utf8), places)]);
    write_parquet(&it.folder.path("t.parquet"), &batch(vec![("image", Arc::new(image) as ArrayRef)]));
    let mut it = it;
    it.given.push(it.folder.path("t.parquet"));
    let allow = ["--allow-urls", "--allow-host", "127.0.0.1", "--url-timeout", "5", "--max-retries", "0"];
    for on_error in ["log", "ignore"] {
        for output in ["out.parquet", "out.arrow", "out.jsonl"] {
            let args = ["embed", "t.parquet", "-o", output, "--overwrite", "--on-error", on_error, "--errors-column"];
            it.run(&[&args[..], &allow].concat());
        }
    }
    it.run(
        &[&["embed", "t.parquet", "-o", "out.npy", "--json", "--on-error", "ignore", "--overwrite"], &allow[..]]
            .concat(),
    );
    it.run(&[&["embed", "t.parquet", "-o", "x.parquet"], &allow[..]].concat());
    it.run(&["embed", "t.parquet", "-o", "x.parquet"]);
    let first = secret("/none.png");
    for more in [&allow[..], &[]] {
        it.run(&[&["embed", &first, "--explain"], more].concat());
        it.run(&[&["embed", &first, "-o", "x.parquet"], more].concat());
    }
    let bucket = format!("s3://me:{CANARY}@bucket/x?sig={CANARY}");
    it.run(&["embed", &bucket, "-o", "x.parquet"]);
    it.run(&["embed", "shots", "-o", &format!("{bucket}.parquet")]);
}

#[cfg(feature = "openai")]
#[test]
fn a_service_that_repeats_the_key_is_not_repeated() {
    let it = Searched::new();
    let web =
        Web::start(vec![("/v1/embeddings".to_owned(), format!("no such key: {CANARY}").into_bytes())], Duration::ZERO);
    let base = format!("base_url={}", web.url("/v1"));
    let options = ["--option", "dialect=vllm", "--option", &base, "--option", "dimensions=8"];
    let key = format!("api_key={CANARY}");
    for given in [&["--option", &key][..], &["--option", "api_key_env=JINA_API_KEY"]] {
        let args = ["embed", "shots", "--provider", "openai", "--model", "m", "--max-retries", "0"];
        it.run(&[&args[..], &options, given, &["-o", "x.parquet"]].concat());
        it.run(&[&args[..], &options, given, &["--explain"]].concat());
    }
}
