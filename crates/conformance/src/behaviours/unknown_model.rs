//! A model that does not exist.

use imbed_core::ErrorKind;

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::Bench,
};

/// No model of anybody, and no path.
const NAME: &str = "imbed-conformance/there-is-no-such-model";

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "unknown-model",
    promise: "a model that does not exist is refused by name, for good, and with a next step",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let Err(error) = bench.describe_model(NAME, &bench.subject.options, &[]) else {
        return Err(format!("'{NAME}' is accepted as a model").into());
    };
    ensure!(error.kind() == ErrorKind::UnknownModel, "refused as {}, not as an unknown model: {error}", error.kind());
    ensure!(error.message().contains(NAME), "the message does not name the model: {error}");
    ensure!(error.hint_text().is_some(), "the message has no next step: {error}");
    ensure!(!error.is_temporary(), "the error says that it will pass");
    Ok(())
}
