//! Where a model is: a file, or a folder with one of the hub's files in it; and the configuration beside it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

use imbed_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::options::Variant;

/// What may be passed as the model.
pub(crate) const ACCEPTS: &str = "an .onnx file, or a folder with onnx/model.onnx or onnx/vision_model.onnx and \
                                  preprocessor_config.json";

/// Names without suffix and extension, the preferred first: of a model of images and texts, the part for images.
const STEMS: [&str; 2] = ["vision_model", "model"];

/// A model's file, by its absolute path without links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Source {
    path: PathBuf,
}

impl Source {
    /// Finds `model`; in a folder, the file of this variant.
    pub(crate) fn find(model: &str, variant: Option<Variant>) -> Result<Self> {
        let path = Path::new(model);
        let file = if path.is_file() {
            if let Some(variant) = variant {
                let message = format!("dtype '{variant}' chooses a file, but '{model}' is one already");
                return Err(Error::new(ErrorKind::BadOption, message)
                    .hint("leave dtype away, or name the folder that the file is in"));
            }
            path.to_owned()
        } else if path.is_dir() {
            in_folder(path, variant)?
        } else {
            let beside = std::env::current_dir().map(|dir| format!(" in {}", dir.display())).unwrap_or_default();
            let place = if path.is_absolute() { String::new() } else { beside };
            let message = format!("there is no model '{model}': no file and no folder{place} has that name");
            return Err(Error::new(ErrorKind::UnknownModel, message)
                .hint(format!("give {ACCEPTS}; names on the Hugging Face hub are not downloaded")));
        };
        Ok(Self { path: file.canonicalize().map_err(|e| Error::io(file.display(), e))? })
    }

    /// The model's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// `name` beside the file, or in the folder above it.
    pub(crate) fn config(&self, name: &str) -> Result<Option<Value>> {
        let folders = self.path.ancestors().skip(1).take(2);
        let Some(path) = folders.map(|folder| folder.join(name)).find(|path| path.is_file()) else { return Ok(None) };
        let text = fs::read_to_string(&path).map_err(|e| Error::io(path.display(), e))?;
        let json = serde_json::from_str(&text)
            .map_err(|e| Error::new(ErrorKind::Model, format!("{}: not valid JSON: {e}", path.display())).source(e))?;
        Ok(Some(json))
    }

    /// The files that hold weights: the model's own, and `external` ones beside it.
    pub(crate) fn weights(&self, external: &BTreeSet<String>) -> Result<Vec<PathBuf>> {
        let mut files = vec![self.path.clone()];
        for name in external {
            // A plain name or a path below: a model must not reach outside its folder.
            let below =
                Path::new(name).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            let path = self.path.with_file_name(name);
            if !below || !path.is_file() {
                let message = format!("{}: its weights are in '{name}', which is not beside it", self.path.display());
                return Err(Error::new(ErrorKind::Model, message).hint("fetch that file too, into the same folder"));
            }
            files.push(path);
        }
        Ok(files)
    }
}

/// The file of this variant in `folder` or its `onnx/`, or the only `.onnx` file.
fn in_folder(folder: &Path, variant: Option<Variant>) -> Result<PathBuf> {
    let places = [folder.join("onnx"), folder.to_owned()];
    let suffix = variant.unwrap_or(Variant::F32).suffix();
    for place in &places {
        for stem in STEMS {
            let path = place.join(format!("{stem}{suffix}.onnx"));
            if path.is_file() {
                return Ok(path);
            }
        }
    }
    let mut files: Vec<PathBuf> = places.iter().flat_map(|place| onnx_files(place)).collect();
    files.sort_unstable();
    if let ([only], None) = (files.as_slice(), variant) {
        return Ok(only.clone());
    }
    let wanted = format!("model{suffix}.onnx or vision_model{suffix}.onnx");
    let error =
        Error::new(ErrorKind::UnknownModel, format!("{} has no {wanted}, nor has its onnx folder", folder.display()));
    if files.is_empty() {
        return Err(error.hint(format!("give {ACCEPTS}")));
    }
    let there = |variant: &Variant| {
        let name = |stem: &str| format!("{stem}{}.onnx", variant.suffix());
        STEMS.iter().any(|stem| files.iter().any(|file| file.file_name().is_some_and(|f| f == name(stem).as_str())))
    };
    let variants: Vec<String> = Variant::ALL.iter().filter(|v| there(v)).map(ToString::to_string).collect();
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    Err(error.hint(if variants.is_empty() {
        format!("name one of its files: {}", names.join(", "))
    } else {
        format!("it has dtype {}", variants.join(", "))
    }))
}

fn onnx_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|e| e == "onnx") && path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn found(folder: &tempfile::TempDir, variant: Option<Variant>) -> Result<String> {
        let source = Source::find(folder.path().to_str().unwrap(), variant)?;
        let root = folder.path().canonicalize().unwrap();
        Ok(source.path().strip_prefix(root).unwrap().display().to_string())
    }

    #[test]
    fn the_part_for_images_comes_before_the_whole_and_the_hubs_folder_before_the_top() {
        let all = folder(&["model.onnx", "onnx/model.onnx", "onnx/vision_model.onnx", "onnx/model_quantized.onnx"]);
        assert_eq!(found(&all, None).unwrap(), "onnx/vision_model.onnx");
        assert_eq!(found(&all, Some(Variant::Q8)).unwrap(), "onnx/model_quantized.onnx");
        assert_eq!(found(&folder(&["model.onnx"]), None).unwrap(), "model.onnx");
    }

    #[test]
    fn a_single_file_is_taken_by_any_name_but_not_for_another_variant() {
        let one = folder(&["resnet50.onnx", "readme.txt"]);
        assert_eq!(found(&one, None).unwrap(), "resnet50.onnx");
        assert_eq!(found(&one, Some(Variant::F16)).unwrap_err().kind(), ErrorKind::UnknownModel);
    }

    #[test]
    fn a_variant_that_is_missing_is_an_error_that_lists_those_that_are_there() {
        let some = folder(&["onnx/model_fp16.onnx", "onnx/model_q4.onnx"]);
        for variant in [None, Some(Variant::Q8)] {
            let error = found(&some, variant).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnknownModel);
            assert_eq!(error.hint_text().unwrap(), "it has dtype f16, q4");
        }
        let others = found(&folder(&["a.onnx", "b.onnx"]), None).unwrap_err();
        assert!(others.hint_text().unwrap().contains("a.onnx"), "{others}");
    }

    #[test]
    fn a_variant_of_a_file_is_refused() {
        let one = folder(&["model.onnx"]);
        let path = one.path().join("model.onnx");
        let error = Source::find(path.to_str().unwrap(), Some(Variant::F16)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadOption);
    }

    #[test]
    fn configuration_is_read_beside_the_file_or_one_folder_above() {
        let hub = folder(&["onnx/model.onnx"]);
        let source = Source::find(hub.path().to_str().unwrap(), None).unwrap();
        assert_eq!(source.config("config.json").unwrap(), None);
        fs::write(hub.path().join("config.json"), r#"{"above": 1}"#).unwrap();
        assert_eq!(source.config("config.json").unwrap().unwrap()["above"], 1);
        fs::write(hub.path().join("onnx/config.json"), r#"{"beside": 1}"#).unwrap();
        assert_eq!(source.config("config.json").unwrap().unwrap()["beside"], 1);
        fs::write(hub.path().join("onnx/config.json"), "{").unwrap();
        assert!(source.config("config.json").unwrap_err().message().contains("config.json"));
    }

    #[test]
    fn weights_outside_the_file_must_be_beside_it() {
        let model = folder(&["model.onnx", "model.onnx_data"]);
        let source = Source::find(model.path().to_str().unwrap(), None).unwrap();
        let weights = |name: &str| source.weights(&BTreeSet::from([name.to_owned()]));
        assert_eq!(weights("model.onnx_data").unwrap().len(), 2);
        for name in ["other_data", "../model.onnx_data", "/etc/hostname"] {
            assert!(weights(name).unwrap_err().message().contains(name), "{name}");
        }
    }
}
