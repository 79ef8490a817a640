//! What the tests share: the hub on this machine, a cache of their own, and an ear for progress.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub(crate) mod server;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use imbed_core::{
    FetchProgress,
    fetch::{Download, FileChoice},
};
use imbed_hub::{Checkpoint, Hub, ModelName, Settings, Token};
use server::Server;

pub(crate) const CONFIG: &[u8] = br#"{"model_type": "clip"}"#;
pub(crate) const RECIPE: &[u8] = br#"{"do_resize": true}"#;

/// Content that is not the same anywhere.
pub(crate) fn weights(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// A hub with the model `org/model`, whose weights have so many bytes.
pub(crate) fn published(bytes: usize) -> Server {
    let server = Server::start();
    let weights = weights(bytes);
    server.publish(
        "org/model",
        &[
            ("config.json", CONFIG),
            ("preprocessor_config.json", RECIPE),
            ("model.safetensors", &weights),
            ("pytorch_model.bin", b"not wanted"),
            ("tf_model.h5", b"not wanted"),
            ("README.md", b"not wanted"),
        ],
    );
    server
}

/// A cache that is gone with the test.
pub(crate) struct Cache(tempfile::TempDir);

impl Cache {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn settings(&self, endpoint: &str) -> Settings {
        Settings {
            cache: self.path().to_owned(),
            endpoint: endpoint.to_owned(),
            token: None,
            offline: false,
            tries: 3,
            wait: Duration::from_millis(1),
        }
    }

    /// A client of `server` that waits for nothing long.
    pub(crate) fn hub(&self, server: &Server) -> Hub {
        Hub::new(self.settings(&server.url()))
    }

    pub(crate) fn hub_with_token(&self, server: &Server, token: &str) -> Hub {
        Hub::new(Settings { token: Token::new(token).unwrap(), ..self.settings(&server.url()) })
    }

    /// Every file of contents, by name.
    pub(crate) fn blobs(&self) -> Vec<String> {
        let folder = self.path().join("models--org--model/blobs");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn blob(&self, name: &str) -> PathBuf {
        self.path().join("models--org--model/blobs").join(name)
    }
}

/// The choices of files that there are without a provider.
pub(crate) fn usual() -> [Arc<dyn FileChoice>; 1] {
    [Arc::new(Checkpoint)]
}

pub(crate) fn name(text: &str) -> ModelName {
    ModelName::parse(text).unwrap()
}

/// Remembers what it is told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) downloads: Vec<Download>,
    pub(crate) positions: Vec<u64>,
    pub(crate) waits: Vec<String>,
    pub(crate) finished: usize,
}

impl FetchProgress for Heard {
    fn begin(&mut self, download: &Download) {
        self.downloads.push(download.clone());
    }
    fn position(&mut self, bytes: u64) {
        self.positions.push(bytes);
    }
    fn waiting(&mut self, why: &str) {
        self.waits.push(why.to_owned());
    }
    fn finish(&mut self) {
        self.finished += 1;
    }
}
