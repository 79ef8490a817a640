//! What must be equal for rows of two runs to stand in one output, and what differs where it is not.

use std::fmt::Write;

use imbed::core::{Error, ErrorKind, Result};
use serde_json::Value;

/// Everything but the inputs' rows that decides what a run writes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunIdentity {
    value: Value,
    hash: String,
}

impl RunIdentity {
    /// Of an object, whose members' order does not matter.
    pub(crate) fn new(value: Value) -> Self {
        let mut text = String::new();
        leaves("", &value, &mut |path, leaf| {
            let _ = writeln!(text, "{}={leaf}", Value::from(path));
        });
        Self { value, hash: blake3::hash(text.as_bytes()).to_hex().to_string() }
    }

    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }

    /// Refuses to go on with an output that was made otherwise, and lists what differs.
    pub(super) fn check(&self, there: &Value, place: &str) -> Result<()> {
        if Self::new(there.clone()).hash == self.hash {
            return Ok(());
        }
        let refused = Error::new(
            ErrorKind::BadInput,
            format!("{place} was made otherwise, so its rows cannot stand beside these"),
        );
        Err(refused.hint(format!(
            "{}\nrepeat what it was made with to go on, name another output, or pass --overwrite instead of --resume to start again",
            differences(there, &self.value).join("\n")
        )))
    }
}

/// Values that differ, a line each.
fn differences(there: &Value, here: &Value) -> Vec<String> {
    let (there, here) = (listed(there), listed(here));
    let find =
        |list: &[(String, Value)], name: &str| list.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
    let only_here = here.iter().filter(|(name, _)| find(&there, name).is_none());
    let mut lines = Vec::new();
    for (name, _) in there.iter().chain(only_here) {
        let (before, now) = (find(&there, name), find(&here, name));
        if before != now {
            lines.push((rank(name.split('.').next().unwrap_or(name)).0, name, before, now));
        }
    }
    // What users know comes first; where it stands in the two is as it was.
    lines.sort_by_key(|(rank, ..)| *rank);
    let lines = lines.into_iter();
    let mut lines: Vec<String> =
        lines.map(|(_, name, before, now)| format!("{name}: {} there, {} here", shown(before), shown(now))).collect();
    let more = lines.len().saturating_sub(MOST_LINES);
    if more > 1 {
        lines.truncate(MOST_LINES);
        lines.push(format!("and {more} more"));
    }
    lines
}

/// All values with their paths, but not what is only empty.
fn listed(value: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    leaves("", value, &mut |path, leaf| {
        if !leaf.is_object() && !leaf.is_array() {
            found.push((path.to_owned(), leaf.clone()));
        }
    });
    found
}

fn shown(value: Option<Value>) -> String {
    match value {
        None | Some(Value::Null) => "not set".to_owned(),
        Some(Value::String(text)) => shortened(&text),
        Some(value) => shortened(&value.to_string()),
    }
}

/// Differences that are listed: another model differs in much, and what the user has changed stands at the top.
const MOST_LINES: usize = 8;

fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(MOST).collect::<String>())
}

/// Calls `found` for everything that is neither an object nor an array with something in it, under its path.
fn leaves(path: &str, value: &Value, found: &mut impl FnMut(&str, &Value)) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) if !members.is_empty() => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| rank(name));
            for (name, value) in members {
                leaves(&below(name), value, found);
            }
        }
        Value::Array(values) if !values.is_empty() => {
            values.iter().enumerate().for_each(|(i, value)| leaves(&below(&i.to_string()), value, found));
        }
        leaf => found(path, leaf),
    }
}

/// Orders names, those that users know first.
fn rank(name: &str) -> (usize, &str) {
    const FIRST: [&str; 8] = ["inputs", "vectors", "provider", "model", "dimensions", "options", "weights", "version"];
    (FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len()), name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_members_does_not_matter_and_everything_else_does() {
        let of = |text: &str| RunIdentity::new(serde_json::from_str(text).unwrap()).hash;
        let usual = of(r#"{"a": {"x": 1, "y": [1, 2]}, "b": null}"#);
        assert_eq!(usual, of(r#"{"b": null, "a": {"y": [1, 2], "x": 1}}"#));
        for other in [
            r#"{"a": {"x": 1, "y": [2, 1]}, "b": null}"#,
            r#"{"a": {"x": "1", "y": [1, 2]}, "b": null}"#,
            r#"{"a": {"x": 1, "y": [1, 2]}, "b": []}"#,
            r#"{"a": {"x": 1, "y": [1, 2]}}"#,
            r#"{"a": {"x": 1, "y": {"0": 1, "1": 3}}, "b": null}"#,
        ] {
            assert_ne!(usual, of(other), "{other}");
        }
    }

    #[test]
    fn what_differs_is_listed_with_both_values() {
        let here =
            RunIdentity::new(json!({ "vectors": { "model": "./clip", "options": {} }, "key": "id", "inputs": ["a"] }));
        let there = json!({ "vectors": { "model": "imbed/tiny", "options": { "alpha": "white" } }, "key": null, "inputs": ["a"] });
        here.check(here.value(), "out/").unwrap();
        let error = here.check(&there, "out/").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput);
        let hint = error.hint_text().unwrap();
        assert!(hint.starts_with("vectors.model: imbed/tiny there, ./clip here\n"), "{hint}");
        assert!(hint.contains("vectors.options.alpha: white there, not set here"), "{hint}");
        assert!(hint.contains("key: not set there, id here") && hint.contains("--overwrite"), "{hint}");
        assert!(!hint.contains("inputs"), "{hint}");
    }
}
