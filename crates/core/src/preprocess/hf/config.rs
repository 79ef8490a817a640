//! The keys of a processor's file, typed.

use serde_json::{Map, Value};

use super::processors::{self, Processor};
use crate::{Error, ErrorKind, Result};

/// Keys that are read.
const READ: &[&str] = &[
    "image_processor_type",
    "feature_extractor_type",
    "do_resize",
    "size",
    "default_to_square",
    "use_square_size",
    "resample",
    "do_center_crop",
    "crop_size",
    "crop_pct",
    "patch_size",
    "max_num_patches",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
    "do_pad",
    "pad_size",
];

/// Keys that change nothing here. Images are always made RGB, so `do_convert_rgb` is one of them; those of labels are for
/// segmentation maps.
const IDLE: &[&str] = &[
    "do_convert_rgb",
    "do_reduce_labels",
    "reduce_labels",
    "processor_class",
    "auto_map",
    "data_format",
    "input_data_format",
    "device",
    "return_tensors",
    "disable_grouping",
    "image_seq_length",
    "num_channels",
];

/// The file's object. As in the reference a `null` is not as good as absent: it switches a step off, and a step that is on
/// cannot do without the value.
#[derive(Debug)]
pub(super) struct Config<'a>(pub(super) &'a Map<String, Value>);

impl Config<'_> {
    /// A value that a step needs; `None` if the processor's default goes.
    pub(super) fn value(&self, key: &str) -> Result<Option<&Value>> {
        match self.0.get(key) {
            Some(Value::Null) => Err(nonsense(format!("{key} is null, and a step that is switched on needs it"))),
            given => Ok(given),
        }
    }

    /// A value that may be left open.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// The processor that the file names.
    pub(super) fn processor(&self) -> Result<&'static Processor> {
        let Some(class) = self.get("image_processor_type").or(self.get("feature_extractor_type")) else {
            return Err(Error::new(ErrorKind::Unsupported, "it does not name its image_processor_type")
                .hint(format!("add the one that the model was trained with; {}", processors::known())));
        };
        class.as_str().and_then(processors::find).ok_or_else(|| {
            let class = class.as_str().map_or_else(|| class.to_string(), |class| format!("'{class}'"));
            Error::new(ErrorKind::Unsupported, format!("the image processor {class} is not known"))
                .hint(processors::known())
        })
    }

    /// An error for a key that is neither read nor known to change nothing, unless it is switched off.
    pub(super) fn refuse_what_is_not_understood(&self) -> Result<()> {
        for (key, value) in self.0 {
            let idle = IDLE.contains(&key.as_str())
                || key.starts_with('_')
                || matches!(value, Value::Null | Value::Bool(false));
            if !idle && !READ.contains(&key.as_str()) {
                return Err(not_understood(format_args!("{key}: {value}")));
            }
        }
        Ok(())
    }

    pub(super) fn switch(&self, key: &str, default: bool) -> Result<bool> {
        match self.0.get(key) {
            None => Ok(default),
            Some(Value::Null) => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| nonsense(format!("{key} is {value}, not true or false"))),
        }
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        let number = |value: &Value| value.as_f64().ok_or_else(|| nonsense(format!("{key} is {value}, not a number")));
        self.value(key)?.map(number).transpose()
    }

    /// Three numbers, or one for all channels.
    pub(super) fn triple(&self, key: &str) -> Result<Option<[f64; 3]>> {
        let Some(value) = self.value(key)? else { return Ok(None) };
        let numbers: Option<Vec<f64>> = match value {
            Value::Array(items) => items.iter().map(Value::as_f64).collect(),
            one => one.as_f64().map(|n| vec![n; 3]),
        };
        let three = numbers.and_then(|numbers| <[f64; 3]>::try_from(numbers).ok());
        three.map(Some).ok_or_else(|| nonsense(format!("{key} is {value}, not one number for each of three channels")))
    }
}

/// A value that nobody can mean.
pub(super) fn nonsense(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Model, why)
}

/// A value that means something which is not done here.
pub(super) fn not_understood(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{what} is not understood, and would change the pixels"))
}
