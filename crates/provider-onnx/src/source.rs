//! What the user names as the model: a file, a folder, or a name on the hub.

use std::path::{Path, PathBuf};

use imbed_core::{Error, ErrorKind, FetchProgress, FetchScope, Result};
use imbed_hub::{Hub, ModelName};
use serde::{Deserialize, Serialize};

use crate::{
    files::{Folder, OnnxFiles},
    located::Located,
    options::{self, Variant},
};

/// What may be passed as the model.
pub(crate) const ACCEPTS: &str = "an .onnx file, a folder with onnx/model.onnx or onnx/vision_model.onnx and \
                                  preprocessor_config.json, or the name of such a model on the Hugging Face hub \
                                  (org/name[@revision])";

/// A model's whereabouts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// A file, by its absolute path. Links in its folder are resolved; the file may be one, as in the hub's cache, and what
    /// belongs to it is beside the link.
    File(PathBuf),
    /// On the hub, at one commit. Where its files are is each machine's own affair.
    Hub {
        /// `org/name`.
        name: String,
        /// Which means the same files everywhere.
        commit: String,
        /// The graph, by its name there.
        file: String,
        /// What the user asked for, by which the files are fetched elsewhere.
        variant: Option<Variant>,
    },
}

/// What the user may have meant by a model, before any file of it is chosen.
enum Named {
    File(PathBuf),
    Folder(PathBuf),
    Hub(ModelName),
}

impl Source {
    /// Finds `model` on this machine: a file's or folder's path, or a name on the hub that is in the cache.
    pub(crate) fn find(model: &str, choice: &OnnxFiles) -> Result<Self> {
        let in_folder = |folder: &Path, file: &str| -> Result<PathBuf> {
            Ok(folder.canonicalize().map_err(|e| Error::io(folder.display(), e))?.join(file))
        };
        Ok(match named(model, choice)? {
            Named::File(path) => {
                let whole = std::path::absolute(&path).map_err(|e| Error::io(model, e))?;
                let (Some(folder), Some(name)) = (whole.parent(), whole.file_name().and_then(|name| name.to_str()))
                else {
                    return Err(Error::new(ErrorKind::UnknownModel, format!("'{model}' is not a file's name")));
                };
                Self::File(in_folder(folder, name)?)
            }
            Named::Folder(folder) => {
                let graph = choice.graph(&Folder(&folder)).map_err(|e| e.context(folder.display()))?;
                Self::File(in_folder(&folder, &graph)?)
            }
            Named::Hub(name) => {
                let found = hub(choice)?.local(&name, FetchScope::Configuration)?;
                let file = choice.graph(&Folder(&found.folder)).map_err(|e| e.context(&name))?;
                let variant = choice.variant;
                Self::Hub { name: name.repo().to_owned(), commit: found.commit, file, variant }
            }
        })
    }

    /// Downloads what `scope` needs of `model`, if it is a name on the hub and not here yet.
    pub(crate) fn fetch(
        model: &str,
        choice: &OnnxFiles,
        scope: FetchScope,
        progress: &mut dyn FetchProgress,
    ) -> Result<()> {
        if let Named::Hub(name) = named(model, choice)? {
            hub(choice)?.fetch(&name, scope, progress)?;
        }
        Ok(())
    }

    /// Whether it could have been made here: a file on the hub is below the model's folder.
    pub(crate) fn is_plausible(&self) -> bool {
        match self {
            Self::File(path) => path.is_absolute(),
            Self::Hub { file, .. } => options::file(file).is_some(),
        }
    }

    /// The graph on this machine, with as much beside it as `scope` needs.
    pub(crate) fn locate(&self, scope: FetchScope) -> Result<Located> {
        match self {
            Self::File(path) => Ok(Located::new(path.clone())),
            Self::Hub { name, commit, file, variant } => {
                let choice = OnnxFiles { variant: *variant, file: Some(file.clone()) };
                let found = hub(&choice)?.local(&ModelName::new(name)?.at(commit)?, scope)?;
                Ok(Located::new(found.folder.join(file)))
            }
        }
    }

    /// The same, or `None` where the graph is here and weights of it in other files are not.
    pub(crate) fn locate_if_whole(&self) -> Result<Option<Located>> {
        match self {
            Self::File(_) => self.locate(FetchScope::Everything).map(Some),
            // Whatever else is wrong is said when they are needed.
            Self::Hub { .. } => Ok(self.locate(FetchScope::Everything).ok()),
        }
    }
}

fn hub(choice: &OnnxFiles) -> Result<Hub> {
    Ok(Hub::from_env()?.choosing(std::sync::Arc::new(choice.clone())))
}

/// Tells an existing path and a name on the hub apart, in this order.
fn named(model: &str, choice: &OnnxFiles) -> Result<Named> {
    let path = Path::new(model);
    if path.is_file() {
        let option = match choice {
            OnnxFiles { variant: Some(variant), .. } => format!("dtype '{variant}'"),
            OnnxFiles { file: Some(file), .. } => format!("file '{file}'"),
            OnnxFiles { variant: None, file: None } => return Ok(Named::File(path.to_owned())),
        };
        let message = format!("{option} chooses a file, but '{model}' is one already");
        return Err(Error::new(ErrorKind::BadOption, message)
            .hint("leave the option away, or name the folder that the file is in"));
    }
    if path.is_dir() {
        return Ok(Named::Folder(path.to_owned()));
    }
    let is_path = imbed_hub::looks_like_path(model);
    if !is_path && let Ok(name) = ModelName::parse(model) {
        return Ok(Named::Hub(name));
    }
    let beside = std::env::current_dir().map(|dir| format!(" in {}", dir.display())).unwrap_or_default();
    let place = if path.is_absolute() { String::new() } else { beside };
    let or_name = if is_path { "" } else { ", and it is no name on the hub" };
    let message = format!("there is no model '{model}': no file and no folder{place} has that name{or_name}");
    Err(Error::new(ErrorKind::UnknownModel, message).hint(format!("give {ACCEPTS}")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PLAIN: OnnxFiles = OnnxFiles { variant: None, file: None };

    /// A folder with these files, all empty.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        folder
    }

    fn found(path: &Path, choice: &OnnxFiles) -> Result<PathBuf> {
        Ok(Source::find(path.to_str().unwrap(), choice)?.locate(FetchScope::Everything)?.path().to_owned())
    }

    #[test]
    fn a_folder_is_searched_as_a_model_on_the_hub_is() {
        let all = folder(&["onnx/model.onnx", "onnx/vision_model.onnx", "onnx/model_quantized.onnx", "sub/b.onnx"]);
        let root = all.path().canonicalize().unwrap();
        assert_eq!(found(all.path(), &PLAIN).unwrap(), root.join("onnx/vision_model.onnx"));
        let q8 = OnnxFiles { variant: Some(Variant::Q8), file: None };
        assert_eq!(found(all.path(), &q8).unwrap(), root.join("onnx/model_quantized.onnx"));
        let named = OnnxFiles { variant: None, file: Some("sub/b.onnx".to_owned()) };
        assert_eq!(found(all.path(), &named).unwrap(), root.join("sub/b.onnx"));
        let q4 = OnnxFiles { variant: Some(Variant::Q4), file: None };
        let error = found(all.path(), &q4).unwrap_err();
        assert!(error.message().contains(&*all.path().to_string_lossy()), "{error}");
        assert_eq!(error.hint_text().unwrap(), "it has dtype f32, q8");
    }

    #[test]
    fn a_choice_among_the_files_of_a_file_is_refused() {
        let one = folder(&["model.onnx"]);
        let path = one.path().join("model.onnx");
        for choice in [
            OnnxFiles { variant: Some(Variant::F16), file: None },
            OnnxFiles { variant: None, file: Some("model.onnx".to_owned()) },
        ] {
            assert_eq!(found(&path, &choice).unwrap_err().kind(), ErrorKind::BadOption);
        }
        assert_eq!(found(&path, &PLAIN).unwrap(), path.canonicalize().unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn what_belongs_to_a_file_that_is_a_link_is_beside_the_link() {
        let cache = folder(&["blobs/1234", "snapshots/onnx/model.onnx_data"]);
        let link = cache.path().join("snapshots/onnx/model.onnx");
        std::os::unix::fs::symlink("../../blobs/1234", &link).unwrap();
        for path in [cache.path().join("snapshots"), link.clone()] {
            let located = Located::new(found(&path, &PLAIN).unwrap());
            assert_eq!(located.weights(&["model.onnx_data".to_owned()].into()).unwrap().len(), 2, "{path:?}");
        }
    }

    #[test]
    fn a_path_that_exists_wins_over_a_name_on_the_hub() {
        assert!(matches!(named("src/files.rs", &PLAIN).unwrap(), Named::File(_)));
        assert!(matches!(named("tests/fixtures", &PLAIN).unwrap(), Named::Folder(_)));
        assert!(matches!(named("src/nothing", &PLAIN).unwrap(), Named::Hub(_)));
        assert!(matches!(named("hf://src/files.rs", &PLAIN), Ok(Named::Hub(_))));
        for model in ["nothing", "./nothing", "a/b/c"] {
            let error = Source::find(model, &PLAIN).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnknownModel);
            assert!(error.hint_text().unwrap().contains("org/name"), "{error}");
        }
    }
}
