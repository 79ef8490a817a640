//! `dot_product`: the inner product.

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field};
use imbed_core::Result;

use crate::{
    function::{Function, Parameter, Planned, Running},
    vectors,
};

#[derive(Debug)]
pub(crate) struct DotProduct;

impl Function for DotProduct {
    const NAME: &'static str = "dot_product";
    const SUMMARY: &'static str = "The sum of the products of two vectors' numbers. For vectors of unit length it is \
         the cosine similarity.";
    const PARAMETERS: &'static [Parameter] = vectors::PAIR;
    const EXAMPLE: &'static str = "SELECT dot_product(e, e) AS squared_length FROM t;";

    fn coerce(types: &[DataType]) -> Vec<DataType> {
        vectors::coerce(types)
    }

    fn field(call: &Planned<'_>) -> Result<Field> {
        vectors::number_field(call, Self::NAME)
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        vectors::numbers(call, |a, b| Some(a.dot(b)))
    }
}
