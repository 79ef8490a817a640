//! What made a column of vectors.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// What made an embedding column, kept in the metadata of its field.
///
/// [`Comparison`](super::Comparison) says whether vectors of two columns may stand beside each other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Provenance {
    /// The provider's registered name (`imbed.provider`).
    pub provider: String,
    /// The model, as the user named it (`imbed.model`).
    pub model: String,
    /// Whether every vector has unit length (`imbed.normalized`).
    pub normalized: bool,
    /// A hash of the weights' content, where it can be known (`imbed.weights`).
    pub weights: Option<String>,
    /// The version of imbed (`imbed.version`).
    pub version: String,
    /// The options that change a vector and were given, by name (`imbed.options`, a JSON object).
    pub options: Map<String, Value>,
    /// What else decides a vector, by name: the preprocessing, the model's architecture (`imbed.recipe`, a JSON object).
    pub recipe: Map<String, Value>,
}

impl Provenance {
    /// As metadata of a field. Keys whose value is unknown or empty are left out.
    pub fn to_metadata(&self) -> HashMap<String, String> {
        let object = |map: &Map<String, Value>| (!map.is_empty()).then(|| Value::Object(map.clone()).to_string());
        [
            (key::PROVIDER, Some(self.provider.clone())),
            (key::MODEL, Some(self.model.clone())),
            (key::NORMALIZED, Some(self.normalized.to_string())),
            (key::WEIGHTS, self.weights.clone()),
            (key::VERSION, Some(self.version.clone())),
            (key::OPTIONS, object(&self.options)),
            (key::RECIPE, object(&self.recipe)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
    }

    /// From the metadata of a field; `None` if no embedding of ours is described there.
    pub fn from_metadata(metadata: &HashMap<String, String>) -> Option<Self> {
        let text = |key: &str| metadata.get(key).cloned();
        let object = |key: &str| text(key).and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
        Some(Self {
            provider: text(key::PROVIDER)?,
            model: text(key::MODEL)?,
            normalized: text(key::NORMALIZED).is_some_and(|n| n == "true"),
            weights: text(key::WEIGHTS),
            version: text(key::VERSION).unwrap_or_default(),
            options: object(key::OPTIONS),
            recipe: object(key::RECIPE),
        })
    }
}

/// The metadata keys of an embedding's field.
mod key {
    pub(super) const PROVIDER: &str = "imbed.provider";
    pub(super) const MODEL: &str = "imbed.model";
    pub(super) const NORMALIZED: &str = "imbed.normalized";
    pub(super) const WEIGHTS: &str = "imbed.weights";
    pub(super) const VERSION: &str = "imbed.version";
    pub(super) const OPTIONS: &str = "imbed.options";
    pub(super) const RECIPE: &str = "imbed.recipe";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrow::embedding_field;

    #[test]
    fn provenance_survives_a_field() {
        let mut provenance = Provenance {
            provider: "candle".into(),
            model: "imbed/tiny".into(),
            normalized: true,
            weights: Some("blake3:00".into()),
            version: "0.1.0".into(),
            ..Provenance::default()
        };
        for _ in 0..2 {
            let field = embedding_field("e", 3, &provenance);
            assert!(field.is_nullable());
            assert_eq!(Provenance::from_metadata(field.metadata()).as_ref(), Some(&provenance));
            provenance.options.insert("alpha".into(), "white".into());
            provenance.recipe.insert("input".into(), serde_json::json!({ "scale": 0.5 }));
            provenance.weights = None;
        }
        assert_eq!(Provenance::from_metadata(&HashMap::new()), None);
    }
}
