//! A descriptor can be sent to another machine.

use imbed_core::SerializedDescriptor;

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, Failure, ensure},
    bench::Bench,
    other_process,
    pictures::pictures,
};

/// Enough to see that the model there is the model here.
const PICTURES: usize = 3;

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "descriptor-travels",
    promise: "a descriptor survives serialisation with everything it knows, and gives the same vectors in another process",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let sent = SerializedDescriptor::of(bench.descriptor.as_ref())?;
    let wire = serde_json::to_string(&sent).map_err(|e| e.to_string())?;
    let read: SerializedDescriptor = serde_json::from_str(&wire).map_err(|e| e.to_string())?;
    ensure!(read == sent, "its JSON changes when it is written and read");
    let here = &bench.descriptor;
    let there = bench.registry().restore(&read).map_err(|e| Failure::from(e).during("restoring"))?;
    ensure!(there.provider() == here.provider(), "the provider changed to '{}'", there.provider());
    ensure!(there.model() == here.model(), "the model changed to '{}'", there.model());
    ensure!(there.options() == here.options(), "the options changed to {:?}", there.options());
    ensure!(there.dimensions() == here.dimensions(), "the dimensions changed to {:?}", there.dimensions());
    ensure!(there.input() == here.input(), "the input changed to {:?}", there.input());
    ensure!(there.execution() == here.execution(), "the execution changed to {:?}", there.execution());
    ensure!(there.capability() == here.capability(), "the capability changed to {:?}", there.capability());
    ensure!(there.requirements() == here.requirements(), "the requirements changed to {:?}", there.requirements());
    ensure!(there.weights_hash()? == here.weights_hash()?, "the hash of the weights changed");
    // Options must travel too, not only their defaults.
    let with_options = bench.describe(&[("max_retries", "1"), ("on_error", "ignore"), ("alpha", "white")])?;
    let restored = bench.registry().restore(&SerializedDescriptor::of(with_options.as_ref())?)?;
    ensure!(restored.options() == with_options.options(), "the options changed to {:?}", restored.options());

    let vectors = other_process::embed(&sent, &bench.subject, PICTURES)?;
    let expected = bench.model()?.embed(&pictures(PICTURES)?)?;
    bench.agree(&vectors, &expected).map_err(|e| e.during("in another process"))
}
