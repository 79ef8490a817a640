//! `cosine_distance`: how unlike two directions are.

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field};
use imbed_core::Result;

use crate::{
    function::{Function, Parameter, Planned, Running},
    vectors,
};

#[derive(Debug)]
pub(crate) struct CosineDistance;

impl Function for CosineDistance {
    const NAME: &'static str = "cosine_distance";
    const SUMMARY: &'static str = "1 minus the cosine similarity: 0 for the same direction, 2 for the opposite one. \
         Null where a vector has length 0.";
    const PARAMETERS: &'static [Parameter] = vectors::PAIR;
    const EXAMPLE: &'static str = "SELECT path FROM t ORDER BY cosine_distance(e, (SELECT e FROM t WHERE path = \
         'photos/cat.jpg')) LIMIT 10;";

    fn coerce(types: &[DataType]) -> Vec<DataType> {
        vectors::coerce(types)
    }

    fn field(call: &Planned<'_>) -> Result<Field> {
        vectors::number_field(call, Self::NAME)
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        vectors::numbers(call, |a, b| a.cosine(b).map(|cosine| 1.0 - cosine))
    }
}
