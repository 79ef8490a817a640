//! The embedding column.

use std::sync::Arc;

use arrow_array::{FixedSizeListArray, Float32Array};
use arrow_buffer::{NullBuffer, NullBufferBuilder};
use arrow_schema::{DataType, Field};

use super::Provenance;
use crate::{Error, ErrorKind, Result};

/// The type of an embedding column: `FixedSizeList<item: Float32 non-null, size>`.
pub fn embedding_type(size: usize) -> DataType {
    DataType::FixedSizeList(item_field(), size as i32)
}

fn item_field() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, false))
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
