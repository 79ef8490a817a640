//! Options as names and values, before they are checked.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{EmbedOptions, OPTIONS, OptionSpec};
use crate::{Error, ErrorKind, Result, error::nearest};

/// Option names and values from anywhere, laid over each other in order of precedence.
///
/// ```
/// use imbed_core::options::OptionMap;
///
/// let mut options = OptionMap::default();
/// options.set("batch_size", "16");
/// options.lay_over([("batch_size".to_owned(), serde_json::json!(64))]);
/// assert_eq!(options.read(&[]).unwrap().batch_size.unwrap().get(), 64);
/// assert!(OptionMap::from_iter([("bach_size", "1")]).read(&[]).unwrap_err().to_string().contains("'batch_size'"));
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OptionMap(BTreeMap<String, Value>);

impl OptionMap {
    /// Sets an option from text: numbers and `true`/`false` are read as such, anything else is a string.
    pub fn set(&mut self, name: impl Into<String>, text: &str) {
        let value = match serde_json::from_str(text) {
            Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
            _ => Value::String(text.to_owned()),
        };
        self.0.insert(name.into(), value);
    }

    /// Puts `over` on top: its options win.
    pub fn lay_over(&mut self, over: impl IntoIterator<Item = (String, Value)>) {
        self.0.extend(over);
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The typed options; `extra` names those that only the chosen provider knows.
    ///
    /// A name that nobody knows, or a value of the wrong sort, is an error that names it and lists what may be given.
    pub fn read(&self, extra: &[OptionSpec]) -> Result<EmbedOptions> {
        let mut options = EmbedOptions::default();
        for (name, value) in &self.0 {
            if extra.iter().any(|spec| spec.name == name) {
                options.extra.insert(name.clone(), value.clone());
            } else if let Some(spec) = OPTIONS.iter().find(|spec| spec.name == name) {
                options = replace(&options, spec, value)?;
            } else {
                return Err(unknown(name, extra));
            }
        }
        Ok(options)
    }
}

/// `options` with the one called `spec.name` set to `value`.
fn replace(options: &EmbedOptions, spec: &OptionSpec, value: &Value) -> Result<EmbedOptions> {
    let mut fields = serde_json::to_value(options)
        .map_err(|e| Error::new(ErrorKind::Internal, format!("options cannot be serialised: {e}")))?;
    fields[spec.name] = value.clone();
    serde_json::from_value(fields).map_err(|e| {
        let shown = value.as_str().map_or_else(|| value.to_string(), |s| format!("'{s}'"));
        // serde adds nothing for our own value types but a second line with their hint; the spec says it better.
        let why = e.to_string();
        let why = why.lines().next().unwrap_or_default().trim();
        Error::new(ErrorKind::BadOption, format!("the option {} cannot be {shown}: {why}", spec.name))
            .hint(format!("{} takes {}: {}", spec.name, spec.values, spec.summary))
    })
}

fn unknown(name: &str, extra: &[OptionSpec]) -> Error {
    let known: Vec<&str> = OPTIONS.iter().chain(extra).map(|spec| spec.name).collect();
    let meant = match nearest(name, known.iter().copied()).first() {
        Some(meant) => format!("did you mean '{meant}'? "),
        None => String::new(),
    };
    Error::new(ErrorKind::BadOption, format!("there is no option '{name}'"))
        .hint(format!("{meant}known options: {}", known.join(", ")))
}

impl IntoIterator for OptionMap {
    type Item = (String, Value);
    type IntoIter = std::collections::btree_map::IntoIter<String, Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Into<String>> FromIterator<(K, &'static str)> for OptionMap {
    fn from_iter<I: IntoIterator<Item = (K, &'static str)>>(pairs: I) -> Self {
        let mut map = Self::default();
        for (name, text) in pairs {
            map.set(name, text);
        }
        map
    }
}

impl From<BTreeMap<String, Value>> for OptionMap {
    fn from(map: BTreeMap<String, Value>) -> Self {
        Self(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Alpha, OnError};

    #[test]
    fn text_becomes_typed_options() {
        let map = OptionMap::from_iter([
            ("batch_size", "8"),
            ("on_error", "ignore"),
            ("alpha", "white"),
            ("normalize", "true"),
        ]);
        let options = map.read(&[]).unwrap();
        assert_eq!(options.batch_size.unwrap().get(), 8);
        assert_eq!(options.on_error, OnError::Ignore);
        assert_eq!(options.alpha, Alpha::Over([255; 3]));
        assert_eq!(options.normalize, Some(true));
    }

    #[test]
    fn a_wrong_value_names_the_option_and_what_it_takes() {
        for (name, value) in [
            ("batch_size", "0"),
            ("batch_size", "many"),
            ("on_error", "explode"),
            ("num_gpus", "1.5"),
            ("device", "gpu"),
        ] {
            let error = OptionMap::from_iter([(name, value)]).read(&[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadOption);
            assert!(error.message().contains(name) && error.message().contains(value), "{error}");
            assert!(error.hint_text().unwrap().starts_with(name), "{error}");
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = OptionMap::from_iter([("colour", "red")]).read(&[]).unwrap_err();
        assert!(error.hint_text().unwrap().contains("known options: batch_size, max_retries"));
    }

    #[test]
    fn a_providers_own_options_are_kept_for_it() {
        let spec = OptionSpec { name: "dialect", values: "a | b", summary: "" };
        let options = OptionMap::from_iter([("dialect", "a")]).read(&[spec]).unwrap();
        assert_eq!(options.extra["dialect"], "a");
        assert!(OptionMap::from_iter([("dialect", "a")]).read(&[]).is_err());
    }
}
