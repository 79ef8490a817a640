//! Vectors that depend on their image.

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::Bench,
    compare::relative_error,
    pictures::pictures,
};

/// Between vectors of pictures that have hardly anything in common.
const APART: f64 = 1e-3;

pub(super) const BEHAVIOUR: Behaviour =
    Behaviour { name: "tells-apart", promise: "different images have different vectors", cannot: always, check };

fn check(bench: &Bench) -> Check {
    let vectors = bench.model()?.embed(&pictures(9)?)?;
    for (i, one) in vectors.iter().enumerate() {
        for (j, other) in vectors[..i].iter().enumerate() {
            let error = relative_error(one, other);
            ensure!(error > APART, "images {j} and {i} have nearly the same vector (relative difference {error:.1e})");
        }
    }
    Ok(())
}
