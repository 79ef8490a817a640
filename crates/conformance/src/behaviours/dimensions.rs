//! The output's type is known before anything is loaded.

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::{Bench, column},
    pictures::{pictures, pngs},
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "dimensions",
    promise: "the dimensions known before the model is loaded are those of the vectors that come back",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let known = bench.descriptor.dimensions().size;
    ensure!(known > 0, "it announces vectors without numbers");
    let model = bench.model()?;
    let width = model.embedder.width();
    if bench.descriptor.options().dimensions.is_none() {
        ensure!(width == known, "{known} numbers are announced, the loaded model gives {width}");
    }
    for (row, vector) in model.embed(&pictures(3)?)?.iter().enumerate() {
        ensure!(vector.len() == width, "row {row} has {} numbers, the model says {width}", vector.len());
    }
    let files: Vec<_> = pngs(&pictures(2)?)?.into_iter().map(Some).collect();
    let embedded = bench.engine(&[])?.embed_array(column(&files).into())?;
    let length = embedded.embeddings.value_length();
    ensure!(length as usize == known, "{known} numbers are announced, the column has {length}");
    Ok(())
}
