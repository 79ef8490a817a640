//! `euclidean_distance`: the distance of two points.

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field};
use imbed_core::Result;

use crate::{
    function::{Function, Parameter, Planned, Running},
    vectors,
};

#[derive(Debug)]
pub(crate) struct EuclideanDistance;

impl Function for EuclideanDistance {
    const NAME: &'static str = "euclidean_distance";
    const SUMMARY: &'static str = "The Euclidean distance of two vectors.";
    const PARAMETERS: &'static [Parameter] = vectors::PAIR;
    const EXAMPLE: &'static str = "SELECT path FROM t ORDER BY euclidean_distance(e, [0.5, 0.5, 0.0, 0.0]) LIMIT 10;";

    fn coerce(types: &[DataType]) -> Vec<DataType> {
        vectors::coerce(types)
    }

    fn field(call: &Planned<'_>) -> Result<Field> {
        vectors::number_field(call, Self::NAME)
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        vectors::numbers(call, |a, b| Some(a.squared_distance(b).sqrt()))
    }
}
