//! Numbers that can be searched with.

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::Bench,
    pictures::pictures,
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "finite",
    promise: "every number of every vector is finite, and no vector is zero",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    for (row, vector) in bench.model()?.embed(&pictures(19)?)?.into_iter().enumerate() {
        let place = vector.iter().position(|x| !x.is_finite());
        ensure!(
            place.is_none(),
            "row {row}: number {} is not finite (or was never written)",
            place.unwrap_or_default()
        );
        ensure!(vector.iter().any(|x| *x != 0.0), "row {row} is zero");
    }
    Ok(())
}
