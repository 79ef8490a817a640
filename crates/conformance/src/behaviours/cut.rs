//! Vectors that may be cut short are, and others are not.

use imbed_core::ErrorKind;

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::{Bench, column, rows},
    compare::length,
    pictures::{pictures, pngs},
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "cut",
    promise: "the option dimensions cuts vectors, to unit length and as announced; or it is refused where that makes no sense",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let whole = bench.descriptor.dimensions().size;
    let wanted = (whole / 2).max(1);
    let asked = bench.describe(&[("dimensions", &wanted.to_string())]);
    if !bench.capability.dimensions_override {
        return match asked {
            Ok(_) => Err("its vectors cannot be cut, but the option dimensions is taken".into()),
            Err(error) => {
                ensure!(error.kind() == ErrorKind::BadOption, "refused as {}, not as a bad option", error.kind());
                Ok(())
            }
        };
    }
    let known = match asked {
        Ok(descriptor) => descriptor.dimensions().size,
        // A service may offer a few lengths only; then it must say which.
        Err(error) => {
            ensure!(error.kind() == ErrorKind::BadOption, "refused as {}, not as a bad option", error.kind());
            ensure!(error.hint_text().is_some(), "{wanted} dimensions are refused without saying which are possible");
            return Ok(());
        }
    };
    ensure!(known == wanted, "{wanted} dimensions were asked for and {known} are announced");
    let files: Vec<_> = pngs(&pictures(3)?)?.into_iter().map(Some).collect();
    let embedded = bench.engine(&[("dimensions", &wanted.to_string())])?.embed_array(column(&files).into())?;
    for (row, vector) in rows(&embedded.embeddings).into_iter().enumerate() {
        let vector = vector.ok_or_else(|| format!("row {row} is null"))?;
        ensure!(vector.len() == wanted, "row {row} has {} numbers, not {wanted}", vector.len());
        let length = length(&vector);
        ensure!((length - 1.0).abs() < 1e-4, "row {row} has the length {length} after the cut");
    }
    Ok(())
}
