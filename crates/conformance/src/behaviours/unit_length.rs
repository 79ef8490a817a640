//! Vectors of unit length, where the model claims them.

use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::{Bench, column, rows},
    compare::length,
    pictures::{pictures, pngs},
};

/// Rounding of a vector's length, from half precision on.
const TOLERANCE: f64 = 2e-3;

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "unit-length",
    promise: "vectors have unit length where the model claims so",
    cannot: |bench| {
        (!bench.capability.normalized)
            .then(|| "the model does not claim unit length (capability: normalized)".to_owned())
    },
    check,
};

fn check(bench: &Bench) -> Check {
    let images = pictures(9)?;
    let files: Vec<_> = pngs(&images)?.into_iter().map(Some).collect();
    let column = bench.engine(&[])?.embed_array(column(&files).into())?;
    let direct = bench.model()?.embed(&images)?.into_iter();
    for (row, vector) in direct.chain(rows(&column.embeddings).into_iter().flatten()).enumerate() {
        let length = length(&vector);
        ensure!((length - 1.0).abs() <= TOLERANCE, "row {} has the length {length}", row % images.len());
    }
    Ok(())
}
