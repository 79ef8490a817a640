//! Where a checkpoint comes from: a folder, or this crate.

use std::path::{Path, PathBuf};

use imbed_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{open_clip, weights::Checkpoint};

/// The name of the built-in model.
pub(crate) const BUILTIN: &str = "imbed/tiny";

const TINY_CONFIG: &str = include_str!("../models/tiny/config.json");
const TINY_PREPROCESSOR: &str = include_str!("../models/tiny/preprocessor_config.json");
const TINY_WEIGHTS: &[u8] = include_bytes!("../models/tiny/model.safetensors");

/// A checkpoint's whereabouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// In this crate.
    Builtin,
    /// In a folder, by its absolute path without links.
    Folder(PathBuf),
}

impl Source {
    /// Finds `model`: the built-in model's name or a folder's path.
    pub(crate) fn find(model: &str) -> Result<Self> {
        if model == BUILTIN {
            return Ok(Self::Builtin);
        }
        let path = Path::new(model);
        let known = format!(
            "give a folder with config.json, preprocessor_config.json and model.safetensors, or a built-in model: \
             {BUILTIN}; names on the Hugging Face hub are not downloaded"
        );
        if path.is_file() {
            return Err(Error::new(ErrorKind::UnknownModel, format!("the model '{model}' is a file")).hint(known));
        }
        if !path.is_dir() {
            let beside = std::env::current_dir().map(|dir| format!(" in {}", dir.display())).unwrap_or_default();
            let place = if path.is_absolute() { String::new() } else { beside };
            let message = format!("there is no model '{model}': no built-in model and no folder{place} has that name");
            return Err(Error::new(ErrorKind::UnknownModel, message).hint(known));
        }
        let folder = path.canonicalize().map_err(|e| Error::io(model, e))?;
        Ok(Self::Folder(folder))
    }

    /// The checkpoint's `config.json`.
    pub(crate) fn config(&self) -> Result<Value> {
        if let Some(translated) = self.open_clip()? {
            return Ok(translated.config);
        }
        self.json("config.json", TINY_CONFIG)
    }

    /// The checkpoint's `preprocessor_config.json`.
    pub(crate) fn preprocessor(&self) -> Result<Value> {
        if let Some(translated) = self.open_clip()? {
            return Ok(translated.preprocessor);
        }
        self.json("preprocessor_config.json", TINY_PREPROCESSOR)
    }

    /// The weights, of which only the headers are read at first.
    pub(crate) fn weights(&self) -> Result<Checkpoint> {
        match self {
            Self::Builtin => Checkpoint::from_static(BUILTIN, TINY_WEIGHTS),
            Self::Folder(folder) => Checkpoint::open(folder),
        }
    }

    /// Both of these files, where `open_clip`'s config stands for them.
    fn open_clip(&self) -> Result<Option<open_clip::Translated>> {
        match self {
            Self::Builtin => Ok(None),
            Self::Folder(folder) => open_clip::read(folder),
        }
    }

    fn json(&self, name: &str, builtin: &str) -> Result<Value> {
        let (text, place) = match self {
            Self::Builtin => (builtin.to_owned(), format!("{name} of {BUILTIN}")),
            Self::Folder(folder) => {
                let path = folder.join(name);
                if !path.is_file() {
                    return Err(missing(folder, name));
                }
                let place = path.display().to_string();
                (std::fs::read_to_string(&path).map_err(|e| Error::io(&place, e))?, place)
            }
        };
        serde_json::from_str(&text)
            .map_err(|e| Error::new(ErrorKind::Model, format!("{place}: not valid JSON: {e}")).source(e))
    }
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
    fn a_name_that_is_no_folder_says_where_it_was_looked_for_and_what_exists() {
        let error = Source::find("openai/clip-vit-base-patch32").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownModel);
        assert!(error.message().contains("openai/clip-vit-base-patch32"), "{error}");
        let hint = error.hint_text().unwrap();
        assert!(hint.contains(BUILTIN) && hint.contains("not downloaded"), "{hint}");
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
