//! `cosine_similarity`: how alike two directions are.

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field};
use imbed_core::Result;

use crate::{
    function::{Function, Parameter, Planned, Running},
    vectors,
};

#[derive(Debug)]
pub(crate) struct CosineSimilarity;

impl Function for CosineSimilarity {
    const NAME: &'static str = "cosine_similarity";
    const SUMMARY: &'static str = "The cosine of the angle between two vectors: 1 for the same direction, 0 for none \
         in common. Null where a vector has length 0 and so no direction.";
    const PARAMETERS: &'static [Parameter] = vectors::PAIR;
    const EXAMPLE: &'static str = "SELECT a.path, b.path, cosine_similarity(a.e, b.e) AS s FROM t a \
         JOIN t b ON a.path < b.path AND cosine_similarity(a.e, b.e) > 0.97 ORDER BY s DESC LIMIT 20;";

    fn coerce(types: &[DataType]) -> Vec<DataType> {
        vectors::coerce(types)
    }

    fn field(call: &Planned<'_>) -> Result<Field> {
        vectors::number_field(call, Self::NAME)
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        // The method itself is for one lifetime only.
        #[allow(clippy::redundant_closure_for_method_calls)]
        vectors::numbers(call, |a, b| a.cosine(b))
    }
}
