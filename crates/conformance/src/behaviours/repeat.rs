//! The same again.

use super::always;
use crate::{Behaviour, behaviour::Check, bench::Bench, pictures::pictures};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "repeat",
    promise: "the same images give the same vectors again, from the same loaded model and from another",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let images = pictures(7)?;
    let model = bench.model()?;
    let first = model.embed(&images)?;
    for _ in 0..2 {
        bench.agree(&model.embed(&images)?, &first).map_err(|e| e.during("a second run"))?;
    }
    let again = bench.load(bench.descriptor.as_ref())?;
    bench.agree(&again.embed(&images)?, &first).map_err(|e| e.during("loaded a second time"))
}
