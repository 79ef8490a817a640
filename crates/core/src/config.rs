//! What `imbed.toml` and the environment say, merged.
//!
//! ```toml
//! # imbed.toml
//! provider = "candle"
//! model = "./clip-vit-base-patch32"
//! offline = true                # nothing is downloaded
//! cache = "vectors"             # a folder with the vectors of earlier runs
//!
//! [options]
//! batch_size = 32
//!
//! [providers.thumbnails]        # a name of your own for a configured provider
//! provider = "candle"
//! model = "imbed/tiny"
//! options = { normalize = true }
//! ```
//!
//! The environment wins over the file: `IMBED_PROVIDER`, `IMBED_MODEL`, `IMBED_OFFLINE`, `IMBED_CACHE`, and
//! `IMBED_OPTIONS_BATCH_SIZE` for options.

mod failure;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
    value::{Uncased, UncasedStr},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{Error, ErrorKind, Result};

/// The file looked for in the working directory when no other is named.
pub const FILE_NAME: &str = "imbed.toml";

/// Defaults that apply where neither the caller nor the session says anything.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The provider: a registered name, an alias, or a key of [`providers`](Self::providers).
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// Nothing is downloaded: a model that is not here is an error.
    #[serde(deserialize_with = "figment::util::bool_from_str_or_int")]
    pub offline: bool,
    /// The folder where vectors are kept for later runs; `None`, or an empty path: they are not kept.
    pub cache: Option<PathBuf>,
    /// Options by name.
    pub options: BTreeMap<String, Value>,
    /// Named, configured providers.
    pub providers: BTreeMap<String, NamedProvider>,
}

/// A provider under a name of the user's own, with its own model and options.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedProvider {
    /// The registered provider behind the name.
    pub provider: String,
    /// Its model where the caller names none.
    #[serde(default)]
    pub model: Option<String>,
    /// Its options, under the caller's.
    #[serde(default)]
    pub options: BTreeMap<String, Value>,
}

impl Config {
    /// Reads `file` (or `imbed.toml` in the working directory, if it exists) and the `IMBED_…` environment variables.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        if let Some(file) = file.filter(|f| !f.is_file()) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("{}: there is no such configuration file", file.display()),
            ));
        }
        let file = file.unwrap_or(Path::new(FILE_NAME));
        // Other programs of the family have variables of their own (`IMBED_LOG`), so only these are read.
        let ours = |name: &UncasedStr| {
            let n = name.as_str().to_ascii_lowercase();
            ["provider", "model", "offline", "cache"].contains(&n.as_str()) || n.starts_with("options_")
        };
        let figment = if file.is_file() { Figment::from(Toml::file_exact(file)) } else { Figment::new() };
        figment.merge(Env::prefixed("IMBED_").filter(ours).map(key_path)).extract().map_err(|e| {
            Error::new(ErrorKind::Config, failure::message(e)).hint(format!(
                "{} holds provider, model, offline, cache, [options] and [providers.NAME]; see docs/configuration",
                file.display()
            ))
        })
    }
}

/// `OPTIONS_BATCH_SIZE` is `batch_size` in the table `options`.
fn key_path(name: &UncasedStr) -> Uncased<'_> {
    let name = name.as_str().to_ascii_lowercase();
    match name.strip_prefix("options_") {
        Some(option) => format!("options.{option}").into(),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_provider_model_options_and_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("imbed.toml");
        std::fs::write(
            &file,
            "provider = 'p'\nmodel = 'm'\noffline = true\ncache = 'c'\n[options]\nbatch_size = 3\n[providers.x]\nprovider = 'q'\noptions = { alpha = 'white' }\n",
        )
        .unwrap();
        let config = Config::load(Some(&file)).unwrap();
        assert_eq!(config.provider.as_deref(), Some("p"));
        assert!(config.offline);
        assert_eq!(config.cache.as_deref(), Some(Path::new("c")));
        assert_eq!(config.options["batch_size"], 3);
        assert_eq!(config.providers["x"].options["alpha"], "white");
    }

    #[test]
    fn no_file_is_no_error_where_none_was_named() {
        // The tests run in the crate's folder, which has no imbed.toml.
        assert!(!Path::new(FILE_NAME).exists());
        Config::load(None).unwrap();
    }

    #[test]
    fn variables_name_options_in_their_table() {
        assert_eq!(key_path(UncasedStr::new("OPTIONS_BATCH_SIZE")).as_str(), "options.batch_size");
        assert_eq!(key_path(UncasedStr::new("MODEL")).as_str(), "model");
    }

    #[test]
    fn a_wrong_key_names_the_key_and_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("imbed.toml");
        std::fs::write(&file, "modell = 'm'\n").unwrap();
        let error = Config::load(Some(&file)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("modell"), "{error}");
    }

    #[test]
    fn values_of_a_broken_file_are_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("imbed.toml");
        for text in [
            "[options]\napi_key = \"canary\n",
            "[options]\napi_key = canary\n",
            "options = \"canary\"\n",
            "providers = { x = \"canary\" }\n",
            "offline = \"canary\"\n",
        ] {
            std::fs::write(&file, text).unwrap();
            let error = Config::load(Some(&file)).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
            assert!(error.message().contains("line 2") || error.message().contains("for key"), "{error}");
        }
    }

    #[test]
    fn a_file_named_by_the_user_must_exist() {
        assert_eq!(Config::load(Some(Path::new("/no/such/imbed.toml"))).unwrap_err().kind(), ErrorKind::Config);
    }
}
