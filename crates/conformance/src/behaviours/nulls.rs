//! Rows without an image.

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::{Bench, column, rows},
    pictures::{pictures, pngs},
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "nulls",
    promise: "a row without an image is null, and is no failure, under on_error = raise too",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let files = pngs(&pictures(3)?)?;
    let engine = bench.engine(&[("on_error", "raise"), ("batch_size", "2")])?;
    let whole: Vec<_> = files.iter().cloned().map(Some).collect();
    let wanted: Vec<_> = rows(&engine.embed_array(column(&whole).into())?.embeddings).into_iter().flatten().collect();
    let [a, b, c] = whole.try_into().map_err(|_| "three pictures were made")?;
    for holed in [vec![None, a.clone(), None, None, b.clone(), c.clone()], vec![a, b, c, None]] {
        let embedded = engine.embed_array(column(&holed).into())?;
        ensure!(embedded.errors.is_empty(), "a null row was counted as a failure: {}", embedded.errors[0]);
        let embedded = rows(&embedded.embeddings);
        for (row, (file, vector)) in holed.iter().zip(&embedded).enumerate() {
            ensure!(file.is_some() == vector.is_some(), "row {row}: an image gives a vector, and a null gives a null");
        }
        bench.agree(&embedded.into_iter().flatten().collect::<Vec<_>>(), &wanted)?;
    }
    let nothing = engine.embed_array(column(&[None, None]).into())?;
    ensure!(rows(&nothing.embeddings) == [None, None], "a column of nulls is not null");
    Ok(())
}
