//! One broken image.

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::{Bench, column, rows},
    pictures::{pictures, pngs},
};

const IMAGES: usize = 9;
/// Bytes that are no image; this row must fail.
const GARBAGE: usize = 2;
/// An image that is cut off. A service may be content with it.
const CUT_OFF: usize = 6;

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "bad-row",
    promise: "a broken image leaves the vectors of all others as they are, to the bit where the model is deterministic",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let mut files: Vec<_> = pngs(&pictures(IMAGES)?)?.into_iter().map(Some).collect();
    let engine = bench.engine(&[("on_error", "ignore"), ("batch_size", "4")])?;
    let whole = rows(&engine.embed_array(column(&files).into())?.embeddings);
    files[GARBAGE] = Some(b"this is not an image".to_vec());
    if let Some(file) = &mut files[CUT_OFF] {
        file.truncate(file.len() * 2 / 3);
    }
    let embedded = engine.embed_array(column(&files).into())?;
    ensure!(embedded.errors.iter().any(|e| e.row == GARBAGE), "bytes that are no image were not reported");
    let broken = rows(&embedded.embeddings);
    ensure!(broken[GARBAGE].is_none(), "bytes that are no image have a vector");
    for row in (0..IMAGES).filter(|row| ![GARBAGE, CUT_OFF].contains(row)) {
        let (Some(vector), Some(wanted)) = (&broken[row], &whole[row]) else {
            return Err(format!("row {row} is null because of another row").into());
        };
        bench
            .agree(std::slice::from_ref(vector), std::slice::from_ref(wanted))
            .map_err(|e| e.during(format_args!("row {row} of the table, beside a broken row")))?;
    }
    Ok(())
}
