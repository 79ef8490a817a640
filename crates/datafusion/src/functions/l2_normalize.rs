//! `l2_normalize`: vectors of unit length.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{Array, ArrayRef, FixedSizeListArray, Float32Array, GenericListArray, OffsetSizeTrait};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{ArrowError, DataType, Field};
use imbed_core::{
    Error, ErrorKind, Result,
    arrow::{Provenance, VectorColumn},
};

use crate::{
    function::{Function, Parameter, Planned, Running},
    vectors,
};

#[derive(Debug)]
pub(crate) struct L2Normalize;

impl Function for L2Normalize {
    const NAME: &'static str = "l2_normalize";
    const SUMMARY: &'static str = "Scales each vector to Euclidean length 1. Null where a vector has length 0. The \
         numbers become `Float32`.";
    const PARAMETERS: &'static [Parameter] = &[Parameter::required("vector", "a column of vectors")];
    const EXAMPLE: &'static str = "SELECT path, l2_normalize(embed_image(image)) AS e FROM images('photos/**');";

    fn coerce(types: &[DataType]) -> Vec<DataType> {
        vectors::coerce(types)
    }

    fn field(call: &Planned<'_>) -> Result<Field> {
        let field = &call.fields[0];
        vectors::check(field)?;
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let data_type = match field.data_type() {
            DataType::FixedSizeList(_, size) => DataType::FixedSizeList(item, *size),
            DataType::LargeList(_) => DataType::LargeList(item),
            _ => DataType::List(item),
        };
        Ok(Field::new(Self::NAME, data_type, true).with_metadata(normalized(field.metadata())))
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        let array = call.column(0)?;
        let column = VectorColumn::try_new(&array)?;
        let (mut values, mut lengths, mut valid) = (Vec::new(), Vec::with_capacity(column.len()), Vec::new());
        // A null takes its place only where all rows have one length.
        let gap = match array.data_type() {
            DataType::FixedSizeList(_, size) => *size as usize,
            _ => 0,
        };
        for vector in column.iter() {
            let start = values.len();
            let directed = vector.map(|vector| (vector, vector.norm())).filter(|(_, norm)| *norm != 0.0);
            valid.push(directed.is_some());
            match directed {
                Some((vector, norm)) => values.extend(vector.scaled(norm.recip())),
                None => values.resize(start + gap, 0.0),
            }
            lengths.push(values.len() - start);
        }
        let (values, valid) = (Arc::new(Float32Array::from(values)), Some(NullBuffer::from(valid)));
        match call.return_field().data_type() {
            DataType::FixedSizeList(item, size) => {
                let array = FixedSizeListArray::try_new(Arc::clone(item), *size, values, valid);
                Ok(Arc::new(array.map_err(internal)?))
            }
            DataType::LargeList(item) => lists::<i64>(item, lengths, values, valid),
            DataType::List(item) => lists::<i32>(item, lengths, values, valid),
            other => Err(Error::new(ErrorKind::Internal, format!("vectors were planned as {other}"))),
        }
    }
}

fn lists<O: OffsetSizeTrait>(
    item: &Arc<Field>,
    lengths: Vec<usize>,
    values: ArrayRef,
    valid: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::<O>::from_lengths(lengths);
    let array = GenericListArray::try_new(Arc::clone(item), offsets, values, valid);
    Ok(Arc::new(array.map_err(internal)?))
}

#[allow(clippy::needless_pass_by_value)] // For `map_err`.
fn internal(error: ArrowError) -> Error {
    Error::new(ErrorKind::Internal, format!("the vectors do not make a column: {error}"))
}

/// What made the vectors, and that they have unit length now.
fn normalized(metadata: &HashMap<String, String>) -> HashMap<String, String> {
    let mut kept = metadata.clone();
    if let Some(made) = Provenance::from_metadata(metadata) {
        kept.extend(Provenance { normalized: true, ..made }.to_metadata());
    }
    kept
}
