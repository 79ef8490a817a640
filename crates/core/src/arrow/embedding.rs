//! The embedding column.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{FixedSizeListArray, Float32Array};
use arrow_buffer::{NullBuffer, NullBufferBuilder};
use arrow_schema::{DataType, Field};

use crate::{Error, ErrorKind, Result};

/// The type of an embedding column: `FixedSizeList<item: Float32 non-null, size>`.
pub fn embedding_type(size: usize) -> DataType {
    DataType::FixedSizeList(item_field(), size as i32)
}

fn item_field() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, false))
}

/// What made an embedding column, kept in the metadata of its field.
///
/// Two columns may be compared with each other only where all but `version` are equal.
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
    /// The options that change a vector, by name (`imbed.options`, a JSON object).
    pub options: serde_json::Map<String, serde_json::Value>,
}

impl Provenance {
    /// As metadata of a field. Keys whose value is unknown or empty are left out.
    pub fn to_metadata(&self) -> HashMap<String, String> {
        let options = (!self.options.is_empty()).then(|| serde_json::Value::Object(self.options.clone()).to_string());
        [
            (key::PROVIDER, Some(self.provider.clone())),
            (key::MODEL, Some(self.model.clone())),
            (key::NORMALIZED, Some(self.normalized.to_string())),
            (key::WEIGHTS, self.weights.clone()),
            (key::VERSION, Some(self.version.clone())),
            (key::OPTIONS, options),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
    }

    /// From the metadata of a field; `None` if no embedding of ours is described there.
    pub fn from_metadata(metadata: &HashMap<String, String>) -> Option<Self> {
        let text = |key: &str| metadata.get(key).cloned();
        Some(Self {
            provider: text(key::PROVIDER)?,
            model: text(key::MODEL)?,
            normalized: text(key::NORMALIZED).is_some_and(|n| n == "true"),
            weights: text(key::WEIGHTS),
            version: text(key::VERSION).unwrap_or_default(),
            options: text(key::OPTIONS).and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default(),
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
}

/// The field of an embedding column: nullable, as rows that could not be embedded are null.
pub fn embedding_field(name: &str, size: usize, provenance: &Provenance) -> Field {
    Field::new(name, embedding_type(size), true).with_metadata(provenance.to_metadata())
}

/// The embedding column over `values`, `[rows, size]` row-major, where `valid` says which rows are not null.
///
/// Null rows have `size` numbers too, whose values nobody reads.
pub fn embeddings_from_parts(values: Vec<f32>, valid: Option<NullBuffer>, size: usize) -> Result<FixedSizeListArray> {
    let wrong = |why: String| Error::new(ErrorKind::Dimensions, format!("the vectors do not make a column: {why}"));
    if size == 0 || !values.len().is_multiple_of(size) {
        return Err(wrong(format!("{} numbers are not a whole number of vectors of {size}", values.len())));
    }
    let values = Arc::new(Float32Array::from(values));
    FixedSizeListArray::try_new(item_field(), size as i32, values, valid).map_err(|e| wrong(e.to_string()))
}

/// Collects vectors and nulls, row by row.
#[derive(Debug)]
pub struct EmbeddingBuilder {
    size: usize,
    values: Vec<f32>,
    valid: NullBufferBuilder,
}

impl EmbeddingBuilder {
    /// For vectors of `size` numbers, with room for `capacity` of them.
    pub fn with_capacity(capacity: usize, size: usize) -> Self {
        Self { size, values: Vec::with_capacity(capacity * size), valid: NullBufferBuilder::new(capacity) }
    }

    /// Number of rows so far.
    pub fn len(&self) -> usize {
        self.valid.len()
    }

    /// Whether there is no row yet.
    pub fn is_empty(&self) -> bool {
        self.valid.is_empty()
    }

    /// Appends a vector; an error if it has another length.
    pub fn push(&mut self, vector: &[f32]) -> Result<()> {
        if vector.len() != self.size {
            return Err(Error::new(
                ErrorKind::Dimensions,
                format!("a vector of {} numbers came for a column of {}", vector.len(), self.size),
            ));
        }
        self.values.extend_from_slice(vector);
        self.valid.append_non_null();
        Ok(())
    }

    /// Appends a null row.
    pub fn push_null(&mut self) {
        self.values.resize(self.values.len() + self.size, 0.0);
        self.valid.append_null();
    }

    /// The column.
    pub fn finish(mut self) -> Result<FixedSizeListArray> {
        let valid = self.valid.finish();
        embeddings_from_parts(self.values, valid, self.size)
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;

    #[test]
    fn provenance_survives_a_field() {
        let mut provenance = Provenance {
            provider: "candle".into(),
            model: "imbed/tiny".into(),
            normalized: true,
            weights: Some("blake3:00".into()),
            version: "0.1.0".into(),
            options: serde_json::Map::new(),
        };
        for _ in 0..2 {
            let field = embedding_field("e", 3, &provenance);
            assert!(field.is_nullable());
            assert_eq!(Provenance::from_metadata(field.metadata()).as_ref(), Some(&provenance));
            provenance.options.insert("alpha".into(), "white".into());
            provenance.weights = None;
        }
        assert_eq!(Provenance::from_metadata(&HashMap::new()), None);
    }

    #[test]
    fn the_builder_keeps_order_and_nulls() {
        let mut builder = EmbeddingBuilder::with_capacity(3, 2);
        builder.push(&[1.0, 2.0]).unwrap();
        builder.push_null();
        builder.push(&[3.0, 4.0]).unwrap();
        let column = builder.finish().unwrap();
        assert_eq!(column.data_type(), &embedding_type(2));
        assert_eq!((column.len(), column.null_count(), column.is_null(1)), (3, 1, true));
    }

    #[test]
    fn numbers_that_make_no_column_are_an_error() {
        let wrong = [
            EmbeddingBuilder::with_capacity(0, 2).push(&[1.0]).unwrap_err(),
            embeddings_from_parts(vec![1.0; 5], None, 2).unwrap_err(),
            embeddings_from_parts(vec![], None, 0).unwrap_err(),
            embeddings_from_parts(vec![1.0; 4], Some(NullBuffer::new_null(3)), 2).unwrap_err(),
        ];
        assert!(wrong.iter().all(|e| e.kind() == ErrorKind::Dimensions));
    }
}
