//! Options that the model cannot honour.

use imbed_core::{EmbedOptions, ErrorKind, Result};

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::Bench,
};

/// An option of nobody.
const NAME: &str = "no_such_option";

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "bad-option",
    promise: "an option that the provider does not know, or a value that it cannot honour, is refused by name",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    // Straight to the provider: the session would refuse the name before it is asked.
    let mut options = bench.descriptor.options().clone();
    options.extra.insert(NAME.to_owned(), true.into());
    refused(make(bench, &options), NAME)?;
    let more = bench.descriptor.dimensions().size + 1;
    refused(bench.describe(&[("dimensions", &more.to_string())]).map(|_| ()), &more.to_string())?;
    let unknown = bench.describe(&[(NAME, "1")]).map(|_| ());
    refused(unknown, NAME)
}

fn make(bench: &Bench, options: &EmbedOptions) -> Result<()> {
    bench.provider.image_embedder(&bench.subject.model, options).map(|_| ())
}

fn refused(result: Result<()>, what: &str) -> Check {
    let Err(error) = result else { return Err(format!("'{what}' is taken without a word").into()) };
    ensure!(error.kind() == ErrorKind::BadOption, "{what}: refused as {}, not as a bad option: {error}", error.kind());
    ensure!(error.message().contains(what), "the message does not name '{what}': {error}");
    ensure!(error.hint_text().is_some(), "the message has no next step: {error}");
    Ok(())
}
