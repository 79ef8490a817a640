//! Reading values of a `config.json`, where an absent key means the default of its config class.

use imbed_core::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::activation::Activation;

/// A key that is absent.
static ABSENT: Value = Value::Null;

/// The two objects that a vision tower's checkpoint describes itself in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vision<'a> {
    /// The whole config.
    pub(super) whole: Config<'a>,
    /// The part about the vision tower, which may be the whole.
    pub(super) tower: Config<'a>,
    /// Whether there is more than the vision tower.
    pub(super) is_whole: bool,
}

impl<'a> Vision<'a> {
    /// The parts of `config`; a `model_type` in `whole` is that of a checkpoint with more than the vision tower.
    pub(super) fn of(config: &'a Value, whole: &[&str]) -> Self {
        let is_whole = config.get("model_type").and_then(Value::as_str).is_some_and(|name| whole.contains(&name));
        let tower = if is_whole { config.get("vision_config").unwrap_or(&ABSENT) } else { config };
        Self { whole: Config(config), tower: Config(tower), is_whole }
    }
}

/// A number of rows and of columns.
pub(super) type Size = (usize, usize);

/// An object of a `config.json`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Config<'a>(pub(super) &'a Value);

impl<'a> Config<'a> {
    fn value<T>(self, key: &str, default: T, what: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<T> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => read(value).ok_or_else(|| {
                Error::new(ErrorKind::Model, format!("config.json: {key} is {value}, which is not {what}"))
                    .hint("compare config.json with the published checkpoint's")
            }),
        }
    }

    /// A whole number.
    pub(super) fn size(self, key: &str, default: usize) -> Result<usize> {
        self.value(key, default, "a whole number", |v| v.as_u64().and_then(|n| usize::try_from(n).ok()))
    }

    /// A height and a width: one number for both, or a list of two.
    pub(super) fn size_2d(self, key: &str, default: usize) -> Result<(usize, usize)> {
        self.value(key, (default, default), "a size or a pair of sizes", |v| {
            let one = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok());
            match v.as_array().map(Vec::as_slice) {
                Some([height, width]) => Some((one(height)?, one(width)?)),
                Some(_) => None,
                None => one(v).map(|side| (side, side)),
            }
        })
    }

    /// The sizes of image, patch and grid, from `image_size` and `patch_size`.
    pub(super) fn patches(self, (image, patch): (usize, usize)) -> Result<(Size, Size, Size)> {
        let (image, patch) = (self.size_2d("image_size", image)?, self.size_2d("patch_size", patch)?);
        // A patch of nothing is refused with the rest of what cannot be.
        let whole = |pixels: usize, patch: usize| pixels.checked_div(patch).unwrap_or(0);
        Ok((image, patch, (whole(image.0, patch.0), whole(image.1, patch.1))))
    }

    /// A list of whole numbers, empty where the key is absent.
    pub(super) fn sizes(self, key: &str) -> Result<Vec<usize>> {
        self.value(key, Vec::new(), "a list of whole numbers", |v| {
            v.as_array()?.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok())).collect()
        })
    }

    /// A number.
    pub(super) fn number(self, key: &str, default: f64) -> Result<f64> {
        self.value(key, default, "a number", Value::as_f64)
    }

    /// True or false.
    pub(super) fn flag(self, key: &str, default: bool) -> Result<bool> {
        self.value(key, default, "true or false", Value::as_bool)
    }

    /// The name of an activation.
    pub(super) fn activation(self, key: &str, default: &'static str) -> Result<Activation> {
        Activation::from_name(self.value(key, default, "a name", Value::as_str)?)
            .map_err(|e| e.context(format!("config.json: {key}")))
    }

    /// The architecture classes that the checkpoint was saved from.
    pub(super) fn architectures(self) -> Vec<&'a str> {
        let list = self.0.get("architectures").and_then(Value::as_array);
        list.map(|names| names.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }

    /// Refuses images of other than three channels.
    pub(super) fn require_rgb(self) -> Result<()> {
        match self.size("num_channels", 3)? {
            3 => Ok(()),
            n => {
                Err(Error::new(ErrorKind::Model, format!("config.json: num_channels is {n}; only RGB models are read")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_size_is_one_number_or_two() {
        let config = json!({"a": 224, "b": [24, 40], "c": [1, 2, 3]});
        assert_eq!(Config(&config).size_2d("a", 0).unwrap(), (224, 224));
        assert_eq!(Config(&config).size_2d("b", 0).unwrap(), (24, 40));
        assert_eq!(Config(&config).size_2d("absent", 7).unwrap(), (7, 7));
        assert!(Config(&config).size_2d("c", 0).is_err());
    }

    #[test]
    fn a_patch_of_nothing_is_left_to_the_check_of_the_whole() {
        let config = json!({"image_size": 224, "patch_size": 0});
        assert_eq!(Config(&config).patches((1, 1)).unwrap(), ((224, 224), (0, 0), (0, 0)));
    }

    #[test]
    fn a_model_of_other_channels_is_refused() {
        assert!(Config(&json!({"num_channels": 1})).require_rgb().is_err());
    }
}
