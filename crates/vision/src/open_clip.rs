//! Checkpoints as `open_clip` publishes them, told in the words of `transformers`.
//!
//! `config` turns `open_clip_config.json` into the `config.json` and `preprocessor_config.json` of the same CLIP, `names` its
//! tensors' names into those of `CLIPModel`. Queries, keys and values, which `open_clip` keeps in one tensor, become three
//! views of it, and the projection one that is turned over; no number is copied. So the CLIP family knows nothing of this.

mod config;
mod names;

#[cfg(feature = "__fuzzing")]
pub(crate) use config::translate as translated;
pub(crate) use config::{CONFIG, Translated, describes, read};
pub(crate) use names::{STEM, original, translate};
