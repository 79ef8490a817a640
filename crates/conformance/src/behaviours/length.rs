//! As many vectors as images.

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::{Bench, column},
    pictures::{pictures, pngs},
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "length",
    promise: "as many rows come out as went in, also of no row at all",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let model = bench.model()?;
    let files = pngs(&pictures(9)?)?;
    let engine = bench.engine(&[("batch_size", "4")])?;
    for count in [0, 1, 4, 9] {
        let vectors = model.embed(&pictures(count)?)?.len();
        ensure!(vectors == count, "{count} images gave {vectors} vectors");
        let files: Vec<_> = files[..count].iter().cloned().map(Some).collect();
        let rows = engine.embed_array(column(&files).into())?.embeddings;
        let rows = arrow_array::Array::len(&rows);
        ensure!(rows == count, "a column of {count} images gave {rows} rows");
    }
    Ok(())
}
