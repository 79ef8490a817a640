//! Vectors in plans: the types that are taken, and one number for each pair of rows.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::{DataType, Field};
use imbed_core::{
    Error, ErrorKind, Result,
    arrow::{Vector, VectorColumn},
};

use crate::function::{Parameter, Planned, Running};

/// The two vectors that the functions on pairs take.
pub(crate) const PAIR: &[Parameter] = &[
    Parameter::required("a", "a column of vectors, or one vector for all rows"),
    Parameter::required("b", "the same, with as many numbers"),
];

/// Vectors stay as they are; lists of whole numbers, as `[1, 0, 0]` is one, become vectors, and `NULL` becomes one that is null.
pub(crate) fn coerce(types: &[DataType]) -> Vec<DataType> {
    let floats = |item: &Arc<Field>| match item.data_type() {
        t if t.is_floating() => None,
        t if t.is_numeric() || t.is_null() => Some(Arc::new(item.as_ref().clone().with_data_type(DataType::Float64))),
        _ => None,
    };
    let vector = |t: &DataType| match t {
        DataType::List(item) => floats(item).map(DataType::List),
        DataType::LargeList(item) => floats(item).map(DataType::LargeList),
        DataType::FixedSizeList(item, size) => floats(item).map(|item| DataType::FixedSizeList(item, *size)),
        DataType::Null => Some(DataType::new_list(DataType::Float32, true)),
        _ => None,
    };
    types.iter().map(|t| vector(t).unwrap_or_else(|| t.clone())).collect()
}

/// An error unless a column of this field holds vectors.
pub(crate) fn check(field: &Field) -> Result<()> {
    if VectorColumn::accepts(field.data_type()) {
        return Ok(());
    }
    let what = format!("the column '{}' of type {} holds no vectors", field.name(), field.data_type());
    Err(Error::new(ErrorKind::BadInput, what)
        .hint("vectors are lists of floating-point numbers, such as embed_image(…) gives"))
}

/// The field of one number for each pair of vectors.
pub(crate) fn number_field(call: &Planned<'_>, name: &str) -> Result<Field> {
    for field in call.fields {
        check(field)?;
    }
    let size = |field: &Field| match field.data_type() {
        DataType::FixedSizeList(_, size) => Some(*size as usize),
        _ => None,
    };
    if let (Some(a), Some(b)) = (size(&call.fields[0]), size(&call.fields[1])) {
        same_length(a, b)?;
    }
    Ok(Field::new(name, DataType::Float64, true))
}

/// `f` of each pair of vectors; null where one of the two is null.
pub(crate) fn numbers(call: &Running<'_>, f: impl Fn(Vector<'_>, Vector<'_>) -> Option<f64>) -> Result<ArrayRef> {
    let ((a, a_for_all), (b, b_for_all)) = (call.broadcast(0)?, call.broadcast(1)?);
    let (a, b) = (VectorColumn::try_new(&a)?, VectorColumn::try_new(&b)?);
    let number = |i| -> Result<Option<f64>> {
        let (Some(x), Some(y)) = (a.get(if a_for_all { 0 } else { i }), b.get(if b_for_all { 0 } else { i })) else {
            return Ok(None);
        };
        same_length(x.len(), y.len()).map_err(|e| e.context(format_args!("row {i} of a batch")))?;
        Ok(f(x, y))
    };
    let numbers = (0..call.rows()).map(number).collect::<Result<Float64Array>>()?;
    Ok(Arc::new(numbers))
}

fn same_length(a: usize, b: usize) -> Result<()> {
    if a == b {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Dimensions, format!("the vectors have {a} and {b} numbers"))
        .hint("vectors of one model have one length; embed both with the same model and options"))
}
