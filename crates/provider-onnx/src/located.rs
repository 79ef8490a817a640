//! A model's files on this machine: the graph, the configuration beside it, and the files with its weights.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use imbed_core::{Error, ErrorKind, Result, fetch::read_text};
use serde_json::Value;

use crate::files::checked;

/// A graph's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    path: PathBuf,
}

impl Located {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The graph's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The model's `config.json`.
    pub(crate) fn config(&self) -> Result<Option<Value>> {
        self.json("config.json")
    }

    /// The recipe of preprocessing: `preprocessor_config.json`, or else `processor_config.json` where that has one.
    pub(crate) fn preprocessor(&self) -> Result<Option<Value>> {
        if let Some(own) = self.json("preprocessor_config.json")? {
            return Ok(Some(own));
        }
        Ok(self.json("processor_config.json")?.filter(|config| config.get("image_processor").is_some()))
    }

    /// `name` beside the graph, or in the folder above it.
    fn json(&self, name: &str) -> Result<Option<Value>> {
        let folders = self.path.ancestors().skip(1).take(2);
        let Some(path) = folders.map(|folder| folder.join(name)).find(|path| path.is_file()) else { return Ok(None) };
        let text = read_text(&path)?;
        let json = serde_json::from_str(&text)
            .map_err(|e| Error::new(ErrorKind::Model, format!("{}: not valid JSON: {e}", path.display())).source(e))?;
        Ok(Some(json))
    }

    /// The files that hold weights: the graph's own, and `external` ones beside it.
    pub(crate) fn weights(&self, external: &BTreeSet<String>) -> Result<Vec<PathBuf>> {
        let mut files = vec![self.path.clone()];
        for name in external {
            checked(&self.path, name)?;
            let path = self.path.with_file_name(name);
            if !path.is_file() {
                let message = format!("{}: its weights are in '{name}', which is not beside it", self.path.display());
                return Err(Error::new(ErrorKind::Model, message).hint("fetch that file too, into the same folder"));
            }
            files.push(path);
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn located() -> (tempfile::TempDir, Located) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("onnx")).unwrap();
        let path = folder.path().join("onnx/model.onnx");
        fs::write(&path, b"").unwrap();
        (folder, Located::new(path))
    }

    #[test]
    fn configuration_is_read_beside_the_file_or_one_folder_above() {
        let (folder, located) = located();
        assert_eq!(located.config().unwrap(), None);
        fs::write(folder.path().join("config.json"), r#"{"above": 1}"#).unwrap();
        assert_eq!(located.config().unwrap().unwrap()["above"], 1);
        fs::write(folder.path().join("onnx/config.json"), r#"{"beside": 1}"#).unwrap();
        assert_eq!(located.config().unwrap().unwrap()["beside"], 1);
        fs::write(folder.path().join("onnx/config.json"), "{").unwrap();
        assert!(located.config().unwrap_err().message().contains("config.json"));
    }

    #[test]
    fn the_recipe_may_be_a_part_of_another_file() {
        let (folder, located) = located();
        let newer = folder.path().join("processor_config.json");
        fs::write(&newer, r#"{"processor_class": "CLIPProcessor"}"#).unwrap();
        assert_eq!(located.preprocessor().unwrap(), None, "there is none in it");
        fs::write(&newer, r#"{"image_processor": {"do_resize": true}}"#).unwrap();
        assert!(located.preprocessor().unwrap().unwrap().get("image_processor").is_some());
        fs::write(folder.path().join("preprocessor_config.json"), r#"{"do_resize": true}"#).unwrap();
        assert_eq!(located.preprocessor().unwrap().unwrap()["do_resize"], true);
    }

    #[test]
    fn weights_outside_the_file_must_be_beside_it() {
        let (folder, located) = located();
        fs::write(folder.path().join("onnx/model.onnx_data"), b"").unwrap();
        fs::write(folder.path().join("above_data"), b"").unwrap();
        let weights = |name: &str| located.weights(&BTreeSet::from([name.to_owned()]));
        assert_eq!(weights("model.onnx_data").unwrap().len(), 2);
        for name in ["other_data", "../above_data", "/etc/hostname"] {
            assert!(weights(name).unwrap_err().message().contains(name), "{name}");
        }
    }
}
