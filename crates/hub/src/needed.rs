//! Which files of a model are needed: its configuration, and its weights in one format, never all that are published.

use std::collections::BTreeSet;

use imbed_core::{Error, ErrorKind, Result};
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

/// The files that stand somewhere, on the hub or in a folder.
pub(crate) trait Files {
    /// Whether there is a file `name`.
    fn has(&self, name: &str) -> bool;

    /// Whether it is known that there is no file `name`, and never will be.
    fn lacks(&self, name: &str) -> bool {
        !self.has(name)
    }

    /// The text of the file `name`, if it can be read without a download.
    fn text(&self, name: &str) -> Option<String>;

    /// All names.
    fn names(&self) -> BTreeSet<String>;
}

/// The files that describe the model. Those that are optional and missing are left out.
pub(crate) fn configuration(files: &dyn Files) -> Vec<String> {
    // open_clip's file stands in only where the usual one does not exist.
    if !files.has(CONFIG) && files.has(OPEN_CLIP) {
        return vec![OPEN_CLIP.to_owned()];
    }
    let mut needed = vec![CONFIG.to_owned()];
    // Where neither is here, both are asked for, unless the model is known not to have them.
    match PREPROCESSORS.iter().find(|name| files.has(name)) {
        Some(name) => needed.push((*name).to_owned()),
        None => needed.extend(PREPROCESSORS.iter().find(|name| !files.lacks(name)).map(|name| (*name).to_owned())),
    }
    needed
}

/// The files that hold the weights, or `None` where there are none of a known format.
///
/// The files that an index lists are known once it can be read; until then, those that are named as its shards are.
pub(crate) fn weights(files: &dyn Files) -> Result<Option<Vec<String>>> {
    let is_open_clip = !files.has(CONFIG) && files.has(OPEN_CLIP);
    let (first, second): (&[&str], &[&str]) =
        if is_open_clip { (&OPEN_CLIP_WEIGHTS, &WEIGHTS) } else { (&WEIGHTS, &OPEN_CLIP_WEIGHTS) };
    let Some(first) = first.iter().chain(second).find(|name| files.has(name)) else { return Ok(None) };
    let Some(stem) = first.strip_suffix(".index.json") else { return Ok(Some(vec![(*first).to_owned()])) };
    let mut needed = match files.text(first) {
        Some(index) => shards(first, &index)?,
        None => files.names().into_iter().filter(|name| is_shard(name, stem)).collect(),
    };
    needed.insert(0, (*first).to_owned());
    Ok(Some(needed))
}

/// What an incomplete copy lacks to be described (`weights` false) or loaded, by name.
pub(crate) fn missing(here: &dyn Files, with_weights: bool) -> Result<Vec<String>> {
    let mut missing: Vec<String> = configuration(here).into_iter().filter(|name| !here.has(name)).collect();
    if with_weights {
        match weights(here)? {
            Some(needed) => missing.extend(needed.into_iter().filter(|name| !here.has(name))),
            None => missing.push(WEIGHTS[0].to_owned()),
        }
    }
    Ok(missing)
}

/// The optional files that `files` does not have.
pub(crate) fn absent(files: &dyn Files) -> Vec<&'static str> {
    PREPROCESSORS.into_iter().filter(|name| !files.has(name)).collect()
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
    use super::*;

    struct Listed(Vec<&'static str>, Option<&'static str>);

    impl Files for Listed {
        fn has(&self, name: &str) -> bool {
            self.0.contains(&name)
        }
        fn text(&self, _: &str) -> Option<String> {
            self.1.map(str::to_owned)
        }
        fn names(&self) -> BTreeSet<String> {
            self.0.iter().map(|name| (*name).to_owned()).collect()
        }
    }

    fn of(names: &[&'static str]) -> (Vec<String>, Option<Vec<String>>) {
        let files = Listed(names.to_vec(), None);
        (configuration(&files), weights(&files).unwrap())
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
        let guessed = weights(&Listed(names.clone(), None)).unwrap().unwrap();
        assert_eq!(guessed, [names[1], names[2], names[3]]);
        let index = r#"{"weight_map": {"x": "b.safetensors", "y": "a.safetensors", "z": "b.safetensors"}}"#;
        let read = weights(&Listed(names.clone(), Some(index))).unwrap().unwrap();
        assert_eq!(read, [names[1], "a.safetensors", "b.safetensors"]);
        for index in ["", "{}", r#"{"weight_map": {"x": "../../a"}}"#, r#"{"weight_map": {"x": ".."}}"#] {
            let text: &'static str = index;
            let error = weights(&Listed(names.clone(), Some(text))).unwrap_err();
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
    fn what_an_incomplete_copy_lacks_is_named() {
        let lacking = |names: &[&'static str], weights| missing(&Listed(names.to_vec(), None), weights).unwrap();
        assert_eq!(lacking(&[], true), ["config.json", "model.safetensors"]);
        assert_eq!(lacking(&["config.json"], false), Vec::<String>::new());
        assert_eq!(lacking(&["config.json"], true), ["model.safetensors"]);
        assert!(lacking(&["config.json", "pytorch_model.bin"], true).is_empty());
    }
}
