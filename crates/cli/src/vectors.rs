//! Columns of vectors in tables, for `inspect` and `similar`: which one, and its rows as slices.

use arrow_array::{Array, ArrayRef, Float32Array, cast::AsArray, types::Float32Type};
use arrow_buffer::NullBuffer;
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use imbed::core::{
    Error, ErrorKind, Result,
    arrow::{Provenance, Vector},
};

use crate::source::describe_columns;

/// The index of the column of vectors: the one `asked` for, or else the one that imbed made, the one called `embedding`, or the
/// only one. `None` if nothing was asked for and there is none.
pub(crate) fn choose(schema: &Schema, asked: Option<&str>) -> Result<Option<usize>> {
    if let Some(name) = asked {
        let (index, field) = find(schema, name)?;
        if holds_vectors(field) {
            return Ok(Some(index));
        }
        return Err(Error::new(
            ErrorKind::BadInput,
            format!("column '{name}' of type {} holds no vectors", field.data_type()),
        )
        .hint("vectors are lists of floating-point numbers"));
    }
    let candidates: Vec<usize> = (0..schema.fields().len()).filter(|i| holds_vectors(schema.field(*i))).collect();
    let ours = |i: &&usize| Provenance::from_metadata(schema.field(**i).metadata()).is_some();
    let called = |i: &&usize| schema.field(**i).name() == "embedding";
    let mut made_here = candidates.iter().filter(ours);
    match (made_here.next(), made_here.next(), candidates.as_slice()) {
        (Some(only), None, _) | (_, _, [only]) => Ok(Some(*only)),
        (_, _, []) => Ok(None),
        (_, _, several) => several.iter().find(called).map(|i| Some(*i)).ok_or_else(|| {
            let names: Vec<&str> = several.iter().map(|i| schema.field(*i).name().as_str()).collect();
            Error::new(ErrorKind::BadInput, "which column holds the vectors?")
                .hint(format!("name it with --column; it may be {}", names.join(", ")))
        }),
    }
}

/// The index of the column that names rows: the one `asked` for, or else `path`, or the first of text or whole numbers.
pub(crate) fn choose_key(schema: &Schema, asked: Option<&str>) -> Result<Option<usize>> {
    if let Some(name) = asked {
        return find(schema, name).map(|(index, _)| Some(index));
    }
    let names = |field: &Field| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => **values == DataType::Utf8,
        other => other.is_integer(),
    };
    let path = schema.fields().iter().position(|f| f.name() == "path" && names(f));
    Ok(path.or_else(|| schema.fields().iter().position(|f| names(f))))
}

fn find<'a>(schema: &'a Schema, name: &str) -> Result<(usize, &'a Field)> {
    schema.column_with_name(name).ok_or_else(|| {
        Error::new(ErrorKind::BadInput, format!("there is no column '{name}'"))
            .hint(format!("columns: {}", describe_columns(schema)))
    })
}

fn holds_vectors(field: &Field) -> bool {
    match field.data_type() {
        DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => {
            item.data_type().is_floating()
        }
        _ => false,
    }
}

/// The vectors of one batch.
pub(crate) struct Vectors {
    values: Float32Array,
    /// Where each row's numbers start, and where the last one's end.
    offsets: Vec<usize>,
    nulls: Option<NullBuffer>,
}

impl Vectors {
    /// The rows of a column that [`choose`] accepts, as `f32`.
    pub(crate) fn of(column: &ArrayRef) -> Result<Self> {
        let (values, offsets) = match column.data_type() {
            DataType::FixedSizeList(_, size) => {
                let size = *size as usize;
                (column.as_fixed_size_list().values(), (0..=column.len()).map(|i| i * size).collect())
            }
            DataType::List(_) => {
                let list = column.as_list::<i32>();
                (list.values(), list.offsets().iter().map(|o| *o as usize).collect())
            }
            DataType::LargeList(_) => {
                let list = column.as_list::<i64>();
                (list.values(), list.offsets().iter().map(|o| *o as usize).collect())
            }
            other => return Err(Error::new(ErrorKind::BadInput, format!("a column of type {other} holds no vectors"))),
        };
        let values = cast(values, &DataType::Float32)
            .map_err(|e| Error::new(ErrorKind::BadInput, format!("the vectors are not numbers: {e}")).source(e))?;
        let values = values.as_primitive::<Float32Type>();
        let values = if values.null_count() > 0 {
            values.iter().map(|v| v.unwrap_or(f32::NAN)).collect::<Vec<_>>().into()
        } else {
            values.clone()
        };
        Ok(Self { values, offsets, nulls: column.nulls().cloned() })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The vector of each row; `None` where it is null.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&[f32]>> {
        (0..self.len()).map(|row| {
            let valid = self.nulls.as_ref().is_none_or(|n| n.is_valid(row));
            valid.then(|| &self.values.values()[self.offsets[row]..self.offsets[row + 1]])
        })
    }
}

/// The keys of one batch as text.
pub(crate) fn keys(column: &ArrayRef) -> Result<Vec<Option<String>>> {
    let text = cast(column, &DataType::Utf8)
        .map_err(|e| Error::new(ErrorKind::BadInput, format!("the key is not text: {e}")).source(e))?;
    Ok(text.as_string::<i32>().iter().map(|key| key.map(str::to_owned)).collect())
}

/// Euclidean length, summed in double precision.
pub(crate) fn norm(vector: &[f32]) -> f64 {
    Vector::F32(vector).norm()
}

/// Inner product, summed in double precision.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    Vector::F32(a).dot(Vector::F32(b))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{FixedSizeListArray, ListArray, types::Float64Type};

    use super::*;

    fn list(name: &str, size: Option<i32>, item: DataType) -> Field {
        let item = Arc::new(Field::new("item", item, true));
        Field::new(name, size.map_or(DataType::List(item.clone()), |s| DataType::FixedSizeList(item, s)), true)
    }

    #[test]
    fn provenance_decides_before_names_and_names_before_order() {
        let made = Provenance { provider: "p".into(), model: "m".into(), ..Provenance::default() };
        let ours = list("v", Some(2), DataType::Float32).with_metadata(made.to_metadata());
        let theirs = list("embedding", Some(2), DataType::Float32);
        let other = list("x", None, DataType::Float64);
        let tokens = list("tokens", None, DataType::Int64);
        assert_eq!(choose(&Schema::new(vec![theirs.clone(), ours]), None).unwrap(), Some(1));
        assert_eq!(choose(&Schema::new(vec![other.clone(), theirs.clone()]), None).unwrap(), Some(1));
        assert_eq!(choose(&Schema::new(vec![tokens.clone(), other.clone()]), None).unwrap(), Some(1));
        assert_eq!(choose(&Schema::new(vec![tokens.clone()]), None).unwrap(), None);
        assert!(choose(&Schema::new(vec![other.clone(), list("y", None, DataType::Float32)]), None).is_err());
        assert!(choose(&Schema::new(vec![tokens]), Some("tokens")).is_err());
    }

    #[test]
    fn slices_of_all_list_types_give_their_own_rows() {
        let values: ArrayRef = Arc::new(Float32Array::from_iter_values((0..8u8).map(f32::from)));
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let nulls = NullBuffer::from(vec![true, true, false, true]);
        let fixed: ArrayRef = Arc::new(FixedSizeListArray::new(item, 2, values, Some(nulls)));
        let vectors = Vectors::of(&fixed.slice(1, 3)).unwrap();
        assert_eq!(vectors.iter().collect::<Vec<_>>(), [Some(&[2.0f32, 3.0][..]), None, Some(&[6.0, 7.0])]);

        let rows = [Some(vec![Some(1.0), None]), None, Some(vec![Some(2.5)])];
        let ragged: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows));
        let vectors = Vectors::of(&ragged.slice(1, 2)).unwrap();
        assert_eq!(vectors.iter().collect::<Vec<_>>(), [None, Some(&[2.5f32][..])]);
        assert!(Vectors::of(&ragged).unwrap().iter().next().unwrap().unwrap()[1].is_nan());
    }

    #[test]
    fn rows_are_named_by_path_or_the_first_text_or_number() {
        let field = |name: &str, t: DataType| Field::new(name, t, true);
        let schema = Schema::new(vec![
            field("score", DataType::Float64),
            field("id", DataType::Int32),
            field("path", DataType::Utf8),
        ]);
        assert_eq!(choose_key(&schema, None).unwrap(), Some(2));
        assert_eq!(choose_key(&schema, Some("id")).unwrap(), Some(1));
        let schema = Schema::new(vec![field("score", DataType::Float64), field("id", DataType::Int32)]);
        assert_eq!(choose_key(&schema, None).unwrap(), Some(1));
        assert_eq!(choose_key(&Schema::empty(), None).unwrap(), None);
    }
}
