//! Where a checkpoint comes from: a folder, the hub's cache, or this crate.
//!
//! The one in this crate is `imbed/tiny`, a small model that the project trained: no files and no network are needed for it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use imbed_core::{
    Error, ErrorKind, FetchProgress, FetchScope, Result,
    fetch::{FileChoice, read_text},
};
use imbed_hub::{Hub, ModelName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{open_clip, weights::Checkpoint};

/// The name of the built-in model.
pub const BUILTIN: &str = "imbed/tiny";
/// The model on the hub where a provider of checkpoints is named and no model.
pub const USUAL: &str = "openai/clip-vit-base-patch32";

/// What may be passed as the model, for a provider's [`accepts`](imbed_core::Provider::accepts).
pub const ACCEPTS: &str = "a folder with config.json, preprocessor_config.json and model.safetensors, or a name on the \
                           Hugging Face hub (org/name[@revision])";

const PREPROCESSOR: &str = "preprocessor_config.json";
/// Where newer checkpoints have it, as one part among others.
const PROCESSOR: &str = "processor_config.json";

const TINY_CONFIG: &str = include_str!("../models/tiny/config.json");
const TINY_PREPROCESSOR: &str = include_str!("../models/tiny/preprocessor_config.json");
const TINY_WEIGHTS: &[u8] = include_bytes!("../models/tiny/model.safetensors");

/// Which files of a model on the hub are a checkpoint.
pub fn hub_files() -> Arc<dyn FileChoice> {
    Arc::new(imbed_hub::Checkpoint)
}

/// Downloads what `scope` needs of `model`, if it is a name on the hub and not here yet.
pub fn fetch(model: &str, scope: FetchScope, progress: &mut dyn FetchProgress) -> Result<()> {
    if let Named::Hub(name) = named(model)? {
        Hub::from_env()?.fetch(&name, scope, progress)?;
    }
    Ok(())
}

/// A checkpoint's whereabouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// In this crate.
    Builtin,
    /// In a folder, by its absolute path without links.
    Folder(PathBuf),
    /// On the hub, at one commit. Where its files are is each machine's own affair.
    Hub {
        /// `org/name`.
        name: String,
        /// Which means the same files everywhere.
        commit: String,
    },
}

/// What the user may have meant by a model, before any file is looked at.
enum Named {
    Builtin,
    Folder(PathBuf),
    Hub(ModelName),
}

impl Source {
    /// Finds `model` on this machine: the built-in model's name, a folder's path, or a name on the hub that is in the cache.
    pub(crate) fn find(model: &str) -> Result<Self> {
        Ok(match named(model)? {
            Named::Builtin => Self::Builtin,
            Named::Folder(folder) => Self::Folder(folder),
            Named::Hub(name) => {
                let found = Hub::from_env()?.local(&name, FetchScope::Configuration)?;
                Self::Hub { name: name.repo().to_owned(), commit: found.commit }
            }
        })
    }

    /// The checkpoint's `config.json`.
    pub(crate) fn config(&self) -> Result<Value> {
        if let Some(translated) = self.open_clip()? {
            return Ok(translated.config);
        }
        self.json("config.json", TINY_CONFIG)
    }

    /// The checkpoint's recipe: `preprocessor_config.json`, or else `processor_config.json`, which has it as a part.
    pub(crate) fn preprocessor(&self) -> Result<Value> {
        if let Some(translated) = self.open_clip()? {
            return Ok(translated.preprocessor);
        }
        if let Some(folder) = self.folder(FetchScope::Configuration)?
            && !folder.join(PREPROCESSOR).is_file()
            && folder.join(PROCESSOR).is_file()
        {
            return self.json(PROCESSOR, "");
        }
        self.json(PREPROCESSOR, TINY_PREPROCESSOR)
    }

    /// The weights, of which only the headers are read at first. `None` where the configuration is here and they are not.
    pub(crate) fn weights_if_here(&self) -> Result<Option<Checkpoint>> {
        match self {
            Self::Hub { name, commit } => {
                // Whatever else is wrong is said by `weights`, when they are needed.
                let here = Hub::from_env()?.local(&at(name, commit)?, FetchScope::Everything).is_ok();
                if here { self.weights().map(Some) } else { Ok(None) }
            }
            Self::Builtin | Self::Folder(_) => self.weights().map(Some),
        }
    }

    /// The weights, of which only the headers are read at first.
    pub(crate) fn weights(&self) -> Result<Checkpoint> {
        match self.folder(FetchScope::Everything)? {
            Some(folder) => Checkpoint::open(&folder),
            None => Checkpoint::from_static(BUILTIN, TINY_WEIGHTS),
        }
    }

    /// Both of these files, where `open_clip`'s config stands for them.
    fn open_clip(&self) -> Result<Option<open_clip::Translated>> {
        match self.folder(FetchScope::Configuration)? {
            None => Ok(None),
            Some(folder) => open_clip::read(&folder),
        }
    }

    /// The folder with the checkpoint's files, as far as `scope` needs them; `None` for the built-in model.
    fn folder(&self, scope: FetchScope) -> Result<Option<PathBuf>> {
        Ok(match self {
            Self::Builtin => None,
            Self::Folder(folder) => Some(folder.clone()),
            Self::Hub { name, commit } => Some(Hub::from_env()?.local(&at(name, commit)?, scope)?.folder),
        })
    }

    fn json(&self, name: &str, builtin: &str) -> Result<Value> {
        let (text, place) = match self.folder(FetchScope::Configuration)? {
            None => (builtin.to_owned(), format!("{name} of {BUILTIN}")),
            Some(folder) => {
                let path = folder.join(name);
                if !path.is_file() {
                    return Err(missing(&folder, name));
                }
                let place = path.display().to_string();
                (read_text(&path)?, place)
            }
        };
        serde_json::from_str(&text)
            .map_err(|e| Error::new(ErrorKind::Model, format!("{place}: not valid JSON: {e}")).source(e))
    }
}

/// Tells the built-in model, an existing path and a name on the hub apart, in this order.
fn named(model: &str) -> Result<Named> {
    if model == BUILTIN {
        return Ok(Named::Builtin);
    }
    let path = Path::new(model);
    let known = format!(
        "give a folder with config.json, preprocessor_config.json and model.safetensors, a name on the Hugging Face hub \
         (org/name or org/name@revision, such as {USUAL}), or a built-in model: {BUILTIN}"
    );
    if path.is_file() {
        return Err(Error::new(ErrorKind::UnknownModel, format!("the model '{model}' is a file")).hint(known));
    }
    if path.is_dir() {
        return Ok(Named::Folder(path.canonicalize().map_err(|e| Error::io(model, e))?));
    }
    let is_path = imbed_hub::looks_like_path(model);
    if !is_path && let Ok(name) = ModelName::parse(model) {
        return Ok(Named::Hub(name));
    }
    let beside = std::env::current_dir().map(|dir| format!(" in {}", dir.display())).unwrap_or_default();
    let place = if path.is_absolute() { String::new() } else { beside };
    let message = if is_path {
        format!("there is no model '{model}': no folder{place} has that path")
    } else {
        format!(
            "there is no model '{model}': no built-in model and no folder{place} has that name, and it is no name on the hub"
        )
    };
    Err(Error::new(ErrorKind::UnknownModel, message).hint(known))
}

/// The name of `repo` at `commit`.
fn at(repo: &str, commit: &str) -> Result<ModelName> {
    ModelName::new(repo)?.at(commit)
}

/// Says that `folder` has no file `name`, and what it has instead.
fn missing(folder: &Path, name: &str) -> Error {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort_unstable();
    let more = if names.len() > 8 { ", …" } else { "" };
    names.truncate(8);
    let listed = if names.is_empty() { "it is empty".to_owned() } else { format!("it has {}{more}", names.join(", ")) };
    Error::new(ErrorKind::UnknownModel, format!("{} has no {name}", folder.display()))
        .hint(format!("a model's folder holds config.json, preprocessor_config.json and model.safetensors; {listed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_neither_folder_nor_name_says_where_it_was_looked_for_and_what_exists() {
        for (model, part) in [("clip", "no name on the hub"), ("./clip", "no folder"), ("a/b/c", "no folder")] {
            let error = Source::find(model).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnknownModel);
            assert!(error.message().contains(model) && error.message().contains(part), "{error}");
            let hint = error.hint_text().unwrap();
            assert!(hint.contains(BUILTIN) && hint.contains(USUAL), "{hint}");
        }
    }

    #[test]
    fn a_path_that_exists_wins_over_a_name_on_the_hub() {
        assert!(matches!(named("src/families").unwrap(), Named::Folder(_)));
        assert!(matches!(named("src/nothing").unwrap(), Named::Hub(_)));
        assert!(matches!(named("hf://src/families").unwrap(), Named::Hub(_)));
        assert!(matches!(named(BUILTIN).unwrap(), Named::Builtin));
    }

    #[test]
    fn the_recipe_may_be_a_part_of_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let processor = r#"{"image_processor": {"image_mean": [0.5]}, "processor_class": "CLIPProcessor"}"#;
        std::fs::write(folder.path().join(PROCESSOR), processor).unwrap();
        let source = Source::find(folder.path().to_str().unwrap()).unwrap();
        assert_eq!(source.preprocessor().unwrap()["image_processor"]["image_mean"][0], 0.5);
        std::fs::write(folder.path().join(PREPROCESSOR), r#"{"image_mean": [0.25]}"#).unwrap();
        assert_eq!(source.preprocessor().unwrap()["image_mean"][0], 0.25);
    }

    #[test]
    fn a_folder_without_a_config_lists_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("weights.bin"), b"").unwrap();
        let source = Source::find(folder.path().to_str().unwrap()).unwrap();
        let error = source.config().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownModel);
        assert!(error.message().ends_with("has no config.json"), "{error}");
        assert!(error.hint_text().unwrap().contains("weights.bin"), "{error}");
    }

    #[test]
    fn a_file_is_not_a_model() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Source::find(file.path().to_str().unwrap()).unwrap_err().message().contains("is a file"));
    }
}
