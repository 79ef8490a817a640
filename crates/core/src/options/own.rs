//! Options that one provider knows, read by their specs.

use serde_json::Value;

use super::{EmbedOptions, OptionSpec};
use crate::{Error, ErrorKind, Result};

impl EmbedOptions {
    /// Hands each of the [`extra`](Self::extra) options to `set`: its name in `specs`, which are those of `provider`, and its
    /// value as it would be typed. `set` gives `None` for a value that the option does not take.
    ///
    /// A name that is not in `specs`, and a value that is not taken, are errors that say what there is.
    pub fn read_extra(
        &self,
        provider: &str,
        specs: &[OptionSpec],
        mut set: impl FnMut(&'static str, &str) -> Option<()>,
    ) -> Result<()> {
        for (name, value) in &self.extra {
            let spec = specs.iter().find(|spec| spec.name == name).ok_or_else(|| unknown(provider, name, specs))?;
            let text = as_text(value);
            set(spec.name, &text).ok_or_else(|| spec.refuse(&text))?;
        }
        Ok(())
    }
}

impl OptionSpec {
    /// The error for a value that the option does not take.
    pub fn refuse(&self, text: &str) -> Error {
        Error::new(ErrorKind::BadOption, format!("the option {} cannot be '{text}'", self.name))
            .hint(format!("{} takes {}: {}", self.name, self.values, self.summary))
    }
}

fn unknown(provider: &str, name: &str, specs: &[OptionSpec]) -> Error {
    let known: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
    let hint = match known.as_slice() {
        [] => "it has none of its own; see `imbed providers` for the options of each".to_owned(),
        known => format!("its own options: {}", known.join(", ")),
    };
    Error::new(ErrorKind::BadOption, format!("the provider {provider} has no option '{name}'")).hint(hint)
}

/// A value as it would be typed; `[0.5, 0.5, 0.5]` as `0.5,0.5,0.5`.
fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Array(items) => items.iter().map(as_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SPECS: [OptionSpec; 1] = [OptionSpec { name: "legs", values: "1, 2, 3, …", summary: "how many" }];

    fn read(name: &str, value: Value) -> Result<String> {
        let options = EmbedOptions { extra: [(name.to_owned(), value)].into(), ..Default::default() };
        let mut read = String::new();
        options.read_extra("zoo", &SPECS, |name, text| {
            read = format!("{name}={text}");
            (text != "none").then_some(())
        })?;
        Ok(read)
    }

    #[test]
    fn values_are_read_as_they_are_typed() {
        assert_eq!(read("legs", json!(" 4 ")).unwrap(), "legs=4");
        assert_eq!(read("legs", json!([2, 0.5])).unwrap(), "legs=2,0.5");
    }

    #[test]
    fn an_unknown_name_and_a_value_that_is_not_taken_say_what_there_is() {
        let unknown = read("wings", json!(2)).unwrap_err();
        assert!(unknown.message().contains("zoo") && unknown.message().contains("'wings'"), "{unknown}");
        assert!(unknown.hint_text().unwrap().contains("legs"), "{unknown}");
        let refused = read("legs", json!("none")).unwrap_err();
        assert!(refused.hint_text().unwrap().starts_with("legs takes 1, 2, 3"), "{refused}");
    }
}
