//! Which files of a model are needed: its configuration, and its weights in one format, never all that are published.

use std::collections::BTreeSet;

use imbed_core::{
    Error, ErrorKind, FetchScope, Result,
    fetch::{FileChoice, Files, Wanted, read_text},
};
use serde_json::Value;

/// The configuration, in the layout of `transformers`.
const CONFIG: &str = "config.json";
/// The recipe of preprocessing, by its usual name and by that of newer checkpoints.
const PREPROCESSORS: [&str; 2] = ["preprocessor_config.json", "processor_config.json"];
/// The configuration and the recipe, in the layout of `open_clip`.
const OPEN_CLIP: &str = "open_clip_config.json";

/// Weights for `transformers`, the preferred first; an index lists the files of a large model.
const WEIGHTS: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
/// Weights for `open_clip`, the preferred first.
const OPEN_CLIP_WEIGHTS: [&str; 2] = ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"];

/// The usual choice: a checkpoint of `transformers`, or of `open_clip` where there is no other, with the weights in the first
/// format that there is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checkpoint;

impl FileChoice for Checkpoint {
    fn wanted(&self, files: &dyn Files, scope: FetchScope) -> Result<Wanted> {
        let mut wanted = configuration(files);
        if scope == FetchScope::Everything {
            match weights(files)? {
                Some(weights) => wanted.files.extend(weights),
                None if WEIGHTS.iter().chain(&OPEN_CLIP_WEIGHTS).all(|name| files.lacks(name)) => {
                    return Err(no_weights(files));
                }
                None => wanted.files.push(WEIGHTS[0].to_owned()),
            }
        }
        Ok(wanted)
    }
}

/// The files that describe the model. Those that are optional and missing are left out.
fn configuration(files: &dyn Files) -> Wanted {
    // open_clip's file stands in only where the usual one does not exist.
    if !files.has(CONFIG) && files.has(OPEN_CLIP) {
        return Wanted { files: vec![OPEN_CLIP.to_owned()], if_there: Vec::new() };
    }
    let mut needed = vec![CONFIG.to_owned()];
    let found = PREPROCESSORS.iter().position(|name| files.has(name));
    // Where neither is here, one is asked for, unless the model is known not to have it.
    let place = found.or_else(|| PREPROCESSORS.iter().position(|name| !files.lacks(name)));
    needed.extend(place.map(|place| PREPROCESSORS[place].to_owned()));
    let passed_over = &PREPROCESSORS[..place.unwrap_or(PREPROCESSORS.len())];
    Wanted { files: needed, if_there: passed_over.iter().map(ToString::to_string).collect() }
}

/// The files that hold the weights, or `None` where there are none of a known format.
///
/// The files that an index lists are known once it can be read; until then, those that are named as its shards are.
fn weights(files: &dyn Files) -> Result<Option<Vec<String>>> {
    let is_open_clip = !files.has(CONFIG) && files.has(OPEN_CLIP);
    let (first, second): (&[&str], &[&str]) =
        if is_open_clip { (&OPEN_CLIP_WEIGHTS, &WEIGHTS) } else { (&WEIGHTS, &OPEN_CLIP_WEIGHTS) };
    let Some(first) = first.iter().chain(second).find(|name| files.has(name)) else { return Ok(None) };
    let Some(stem) = first.strip_suffix(".index.json") else { return Ok(Some(vec![(*first).to_owned()])) };
    let mut needed = match files.path(first).and_then(|path| read_text(&path).ok()) {
        Some(index) => shards(first, &index)?,
        None => files.names().into_iter().filter(|name| is_shard(name, stem)).collect(),
    };
    needed.insert(0, (*first).to_owned());
    Ok(Some(needed))
}

fn no_weights(files: &dyn Files) -> Error {
    let all: Vec<String> = files.names().into_iter().filter(|file| !file.starts_with('.')).collect();
    let more = if all.len() > 8 { ", …" } else { "" };
    Error::new(ErrorKind::UnknownModel, "there are no weights in a format that is read").hint(format!(
        "safetensors and pytorch_model.bin are read; it has {}{more}",
        all[..all.len().min(8)].join(", ")
    ))
}

/// The files that an index lists, sorted.
fn shards(name: &str, index: &str) -> Result<Vec<String>> {
    let wrong = |why: &str| {
        Error::new(ErrorKind::Model, format!("{name}: {why}"))
            .hint("`imbed models verify` tells whether the file is as it was published")
    };
    let index: Value = serde_json::from_str(index).map_err(|e| wrong(&format!("not valid JSON: {e}")))?;
    let map = index.get("weight_map").and_then(Value::as_object).ok_or_else(|| wrong("it has no weight_map"))?;
    let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
    // A plain name: an index must not reach outside its folder.
    if let Some(name) =
        names.iter().find(|name| name.contains(['/', '\\', ':']) || name.starts_with('.') || name.is_empty())
    {
        return Err(wrong(&format!("it lists '{name}', which is not a file beside it")));
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// Whether `name` is `model-00001-of-00002.safetensors`, for the stem `model.safetensors`.
fn is_shard(name: &str, stem: &str) -> bool {
    let Some((stem, extension)) = stem.rsplit_once('.') else { return false };
    let numbers = name
        .strip_prefix(stem)
        .and_then(|rest| rest.strip_prefix('-'))
        .and_then(|rest| rest.strip_suffix(extension))
        .and_then(|rest| rest.strip_suffix('.'))
        .and_then(|rest| rest.split_once("-of-"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    numbers.is_some_and(|(number, count)| digits(number) && digits(count))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct Listed {
        names: Vec<&'static str>,
        /// Where the files are that can be read.
        folder: Option<tempfile::TempDir>,
    }

    impl Files for Listed {
        fn has(&self, name: &str) -> bool {
            self.names.contains(&name)
        }
        fn path(&self, name: &str) -> Option<PathBuf> {
            self.folder.as_ref().map(|folder| folder.path().join(name))
        }
        fn names(&self) -> BTreeSet<String> {
            self.names.iter().map(|name| (*name).to_owned()).collect()
        }
    }

    fn listed(names: &[&'static str]) -> Listed {
        Listed { names: names.to_vec(), folder: None }
    }

    fn of(names: &[&'static str]) -> (Vec<String>, Option<Vec<String>>) {
        let files = listed(names);
        (configuration(&files).files, weights(&files).unwrap())
    }

    #[test]
    fn one_format_of_the_weights_is_enough() {
        let rest = ["config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json", "README.md"];
        let others = ["tf_model.h5", "flax_model.msgpack", "onnx/model.onnx", "pytorch_model.bin", "model.safetensors"];
        let (configuration, weights) = of(&[&rest[..], &others[..]].concat());
        assert_eq!(configuration, ["config.json", "preprocessor_config.json"]);
        assert_eq!(weights.unwrap(), ["model.safetensors"]);
        assert_eq!(of(&[&rest[..], &others[..4]].concat()).1.unwrap(), ["pytorch_model.bin"]);
        assert_eq!(of(&[&rest[..], &others[..3]].concat()).1, None);
    }

    #[test]
    fn a_model_without_a_recipe_needs_none_and_a_newer_one_has_another_name() {
        assert_eq!(of(&["config.json", "model.safetensors"]).0, ["config.json"]);
        assert_eq!(of(&["config.json", "processor_config.json"]).0, ["config.json", "processor_config.json"]);
    }

    #[test]
    fn shards_are_guessed_by_name_until_the_index_can_be_read() {
        let names = vec![
            "config.json",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model-a-of-b.safetensors",
            "model_fp16-00001-of-00002.safetensors",
        ];
        let guessed = weights(&listed(&names)).unwrap().unwrap();
        let with_index = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(names[1]), text).unwrap();
            weights(&Listed { names: names.clone(), folder: Some(folder) })
        };
        assert_eq!(guessed, [names[1], names[2], names[3]]);
        let index = r#"{"weight_map": {"x": "b.safetensors", "y": "a.safetensors", "z": "b.safetensors"}}"#;
        let read = with_index(index).unwrap().unwrap();
        assert_eq!(read, [names[1], "a.safetensors", "b.safetensors"]);
        for index in ["", "{}", r#"{"weight_map": {"x": "../../a"}}"#, r#"{"weight_map": {"x": ".."}}"#] {
            let error = with_index(index).unwrap_err();
            assert!(error.message().contains("model.safetensors.index.json"), "{error}");
        }
    }

    #[test]
    fn open_clips_files_stand_in_where_there_is_no_config() {
        let mut names =
            vec!["open_clip_config.json", "open_clip_pytorch_model.bin", "open_clip_model.safetensors", "vocab.json"];
        assert_eq!(
            of(&names),
            (vec!["open_clip_config.json".to_owned()], Some(vec!["open_clip_model.safetensors".to_owned()]))
        );
        names.push("config.json");
        assert_eq!(of(&names).1.unwrap(), ["open_clip_model.safetensors"], "the only weights that there are");
        names.push("pytorch_model.bin");
        assert_eq!(of(&names), (vec!["config.json".to_owned()], Some(vec!["pytorch_model.bin".to_owned()])));
    }

    #[test]
    fn what_would_be_preferred_is_named_and_what_cannot_be_had_is_an_error() {
        let wanted = |names: &[&'static str], scope| Checkpoint.wanted(&listed(names), scope);
        let newer = wanted(&["config.json", "processor_config.json"], FetchScope::Configuration).unwrap();
        assert_eq!(newer.if_there, ["preprocessor_config.json"]);
        let bare = wanted(&["config.json", "pytorch_model.bin"], FetchScope::Everything).unwrap();
        assert_eq!(bare.files, ["config.json", "pytorch_model.bin"]);
        assert_eq!(bare.if_there, PREPROCESSORS);
        let error = wanted(&["config.json", "tf_model.h5"], FetchScope::Everything).unwrap_err();
        assert!(error.hint_text().unwrap().contains("tf_model.h5"), "{error}");
    }
}
