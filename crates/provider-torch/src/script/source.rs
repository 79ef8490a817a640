//! Which file is meant by a model.

use std::{
    fs,
    path::{Path, PathBuf},
};

use imbed_core::{Error, ErrorKind, Result, fetch::read_text};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the files are called.
const EXTENSIONS: [&str; 3] = ["pt", "ts", "torchscript"];

/// A file of `TorchScript`, by its absolute path without links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ScriptFile(PathBuf);

/// Whether `model` is a file of `TorchScript`, or a folder with such a file and without a checkpoint's weights.
pub(crate) fn is_script(model: &str) -> bool {
    let path = Path::new(model);
    if path.is_dir() { !is_checkpoint(path) && !scripts(path).is_empty() } else { path.is_file() }
}

/// Whether `folder` has weights under a name that checkpoints have.
fn is_checkpoint(folder: &Path) -> bool {
    let names = [
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        "open_clip_model.safetensors",
        "open_clip_pytorch_model.bin",
    ];
    names.iter().any(|name| folder.join(name).is_file())
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| has_extension(path)).collect();
    paths.sort_unstable();
    paths
}

fn has_extension(path: &Path) -> bool {
    path.extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e == *known)) && path.is_file()
}

impl ScriptFile {
    /// The file that `model` names, or the only one in the folder that it names.
    pub(crate) fn find(model: &str) -> Result<Self> {
        let path = Path::new(model);
        let file = if path.is_dir() {
            match scripts(path).as_slice() {
                [only] => only.clone(),
                files => {
                    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
                    let message = format!("{model} has {} TorchScript files", names.len());
                    return Err(Error::new(ErrorKind::UnknownModel, message)
                        .hint(format!("name one of them: {}", names.join(", "))));
                }
            }
        } else if has_extension(path) {
            path.to_owned()
        } else {
            let message = format!("the model '{model}' is a file, and no TorchScript one by its name");
            return Err(Error::new(ErrorKind::UnknownModel, message).hint(
                "give a checkpoint's folder, a name on the Hugging Face hub, or a file *.pt, *.ts or *.torchscript",
            ));
        };
        Ok(Self(file.canonicalize().map_err(|e| Error::io(file.display(), e))?))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// `name` beside the file, or in the folder above it.
    pub(crate) fn config(&self, name: &str) -> Result<Option<Value>> {
        let folders = self.0.ancestors().skip(1).take(2);
        let Some(path) = folders.map(|folder| folder.join(name)).find(|path| path.is_file()) else { return Ok(None) };
        let text = read_text(&path)?;
        let json = serde_json::from_str(&text)
            .map_err(|e| Error::new(ErrorKind::Model, format!("{}: not valid JSON: {e}", path.display())).source(e))?;
        Ok(Some(json))
    }

    /// A hash of the file's bytes.
    pub(crate) fn hash(&self) -> Result<String> {
        let io = |e| Error::io(self.0.display(), e);
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(fs::File::open(&self.0).map_err(io)?).map_err(io)?;
        Ok(format!("blake3:{}", hasher.finalize().to_hex()))
    }

    /// The file's size.
    pub(crate) fn bytes(&self) -> Result<u64> {
        Ok(self.0.metadata().map_err(|e| Error::io(self.0.display(), e))?.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            fs::write(folder.path().join(file), b"").unwrap();
        }
        folder
    }

    fn text(folder: &tempfile::TempDir, file: &str) -> String {
        folder.path().join(file).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_folder_is_a_checkpoints_where_it_has_a_checkpoints_weights() {
        for (files, script) in [
            (&["model.pt", "preprocessor_config.json"][..], true),
            (&["model.ts", "config.json"], true),
            (&["model.pt", "model.safetensors"], false),
            (&["training_args.pt", "pytorch_model.bin"], false),
            (&["config.json"], false),
        ] {
            assert_eq!(is_script(&text(&folder(files), "")), script, "{files:?}");
        }
        assert!(!is_script("openai/clip-vit-base-patch32"));
    }

    #[test]
    fn the_only_file_is_taken_and_several_are_asked_about() {
        let one = folder(&["model.torchscript", "readme.md"]);
        assert!(ScriptFile::find(&text(&one, "")).unwrap().path().ends_with("model.torchscript"));
        let two = folder(&["a.pt", "b.ts"]);
        let error = ScriptFile::find(&text(&two, "")).unwrap_err();
        assert!(error.hint_text().unwrap().contains("a.pt") && error.hint_text().unwrap().contains("b.ts"), "{error}");
        assert!(ScriptFile::find(&text(&two, "b.ts")).is_ok());
    }

    #[test]
    fn a_file_of_another_name_is_refused() {
        let other = folder(&["model.onnx"]);
        assert!(is_script(&text(&other, "model.onnx")), "whatever it is, it is no checkpoint");
        let error = ScriptFile::find(&text(&other, "model.onnx")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownModel);
        assert!(error.hint_text().unwrap().contains("*.torchscript"), "{error}");
    }
}
