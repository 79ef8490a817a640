//! Which files of a folder hold the weights.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use imbed_core::{Error, ErrorKind, Result, fetch::read_text};
use serde_json::Value;

/// How a file holds tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Safetensors,
    /// What `torch.save` writes.
    Torch,
}

/// The names that `transformers` gives to weights, the preferred ones first: a file, and the index of a sharded one.
const TRANSFORMERS: &[(&str, Format)] = &[
    ("model.safetensors", Format::Safetensors),
    ("model.safetensors.index.json", Format::Safetensors),
    ("pytorch_model.bin", Format::Torch),
    ("pytorch_model.bin.index.json", Format::Torch),
];

/// The names that `open_clip` gives.
const OPEN_CLIP: &[(&str, Format)] =
    &[("open_clip_model.safetensors", Format::Safetensors), ("open_clip_pytorch_model.bin", Format::Torch)];

/// The weight files in `folder`, in the order of their names: the first of the known names that is there, or the files that
/// it lists. Where the model is described by `open_clip`'s config alone, `open_clip`'s names come first.
pub(super) fn find(folder: &Path, open_clip: bool) -> Result<(Format, Vec<PathBuf>)> {
    let (first, second) = if open_clip { (OPEN_CLIP, TRANSFORMERS) } else { (TRANSFORMERS, OPEN_CLIP) };
    let names = || first.iter().chain(second);
    let Some((name, format)) = names().find(|(name, _)| folder.join(name).is_file()) else {
        let known: Vec<&str> = names().map(|(name, _)| *name).collect();
        let message = format!("{} has no weights: none of {}", folder.display(), known.join(", "));
        return Err(Error::new(ErrorKind::UnknownModel, message)
            .hint("a checkpoint folder holds config.json, preprocessor_config.json and model.safetensors"));
    };
    let path = folder.join(name);
    let files = if name.ends_with(".index.json") { shards(folder, &path)? } else { vec![path] };
    Ok((*format, files))
}

/// The files that the index at `path` lists.
fn shards(folder: &Path, path: &Path) -> Result<Vec<PathBuf>> {
    let text = read_text(path)?;
    let wrong = |why: String| {
        Error::new(ErrorKind::Model, format!("{}: {why}", path.display()))
            .hint("fetch the index and the files that it lists again")
    };
    let index: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let map = index.get("weight_map").and_then(Value::as_object).ok_or_else(|| wrong("no weight_map".into()))?;
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    let mut files = Vec::new();
    for name in names {
        // A name, not a path: an index must not reach outside its folder.
        let plain = Path::new(name).file_name().is_some_and(|file| file == name);
        let shard = folder.join(name);
        if !plain || !shard.is_file() {
            return Err(wrong(format!("the file '{name}' that it lists is not in the folder")));
        }
        files.push(shard);
    }
    if files.is_empty() {
        return Err(wrong("weight_map lists no file".into()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &Path, open_clip: bool) -> (Format, String) {
        let (format, files) = find(folder, open_clip).unwrap();
        (format, files[0].file_name().unwrap().to_str().unwrap().to_owned())
    }

    #[test]
    fn the_first_known_name_wins() {
        let folder = tempfile::tempdir().unwrap();
        let error = find(folder.path(), false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownModel);
        assert!(
            error.message().contains("model.safetensors") && error.message().contains("pytorch_model.bin"),
            "{error}"
        );
        std::fs::write(folder.path().join("shard.x"), "").unwrap();
        for (name, file, format) in [
            ("open_clip_pytorch_model.bin", "open_clip_pytorch_model.bin", Format::Torch),
            ("open_clip_model.safetensors", "open_clip_model.safetensors", Format::Safetensors),
            ("pytorch_model.bin.index.json", "shard.x", Format::Torch),
            ("pytorch_model.bin", "pytorch_model.bin", Format::Torch),
            ("model.safetensors.index.json", "shard.x", Format::Safetensors),
            ("model.safetensors", "model.safetensors", Format::Safetensors),
        ] {
            std::fs::write(folder.path().join(name), r#"{"weight_map": {"a": "shard.x"}}"#).unwrap();
            assert_eq!(found(folder.path(), false), (format, file.to_owned()));
        }
        assert_eq!(found(folder.path(), true).1, "open_clip_model.safetensors");
    }

    #[test]
    fn an_index_cannot_reach_outside_its_folder_and_must_list_something() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["model.safetensors.index.json", "pytorch_model.bin.index.json"] {
            let index = folder.path().join(name);
            for (text, part) in [
                (r#"{"weight_map": {"a": "../secret"}}"#, "../secret"),
                (r#"{"weight_map": {}}"#, "no file"),
                (r#"{"weight_map": []}"#, "no weight_map"),
                ("{", "EOF"),
            ] {
                std::fs::write(&index, text).unwrap();
                let error = find(folder.path(), false).unwrap_err();
                assert!(error.message().contains(part) && error.message().contains(name), "{error}");
            }
            std::fs::remove_file(index).unwrap();
        }
    }
}
