//! A model that does not exist.

use imbed_core::{Error, ErrorKind};

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::Bench,
    pictures::pictures,
};

/// No model of anybody, and no path.
const NAME: &str = "imbed-conformance/there-is-no-such-model";

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "unknown-model",
    promise: "a model that does not exist is refused by name, for good, and with a next step: before anything is loaded, or, where \
              only a service knows its models, by its first answer",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let error = refusal(bench)?;
    ensure!(error.kind() == ErrorKind::UnknownModel, "refused as {}, not as an unknown model: {error}", error.kind());
    ensure!(error.message().contains(NAME), "the message does not name the model: {error}");
    ensure!(error.hint_text().is_some(), "the message has no next step: {error}");
    ensure!(!error.is_temporary(), "the error says that it will pass");
    Ok(())
}

fn refusal(bench: &Bench) -> Result<Error, crate::behaviour::Failure> {
    let descriptor = match bench.describe_model(NAME, &bench.subject.options, &[]) {
        Err(error) => return Ok(error),
        Ok(_) if bench.provider.is_local() => return Err(format!("'{NAME}' is accepted as a model").into()),
        Ok(descriptor) => descriptor,
    };
    match bench.load(descriptor.as_ref()).and_then(|model| model.embed(&pictures(1)?)) {
        Err(error) => Ok(error),
        Ok(_) => Err(format!("'{NAME}' gives vectors").into()),
    }
}
