//! What `imbed providers` and `imbed models` print of a provider is true.

use imbed_core::{EmbedOptions, ErrorKind, ModelInfo};

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, Failure, ensure},
    bench::Bench,
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "listing",
    promise: "the provider is found by its names, and the models it lists exist with the dimensions it lists, or say which option \
              or download they need",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let provider = &bench.provider;
    let name = provider.name();
    ensure!(!name.is_empty() && name == name.to_ascii_lowercase(), "the name '{name}' is not in lower case");
    for alias in std::iter::once(name).chain(provider.aliases().iter().copied()) {
        let found = bench.registry().get(alias)?;
        ensure!(found.name() == name, "'{alias}' leads to the provider '{}'", found.name());
    }
    for (what, line) in [("summary", provider.summary()), ("accepts", provider.accepts())] {
        ensure!(!line.trim().is_empty() && !line.contains('\n'), "{what} is not one line: {line:?}");
    }
    for model in provider.models() {
        let ModelInfo { name, dimensions, builtin, .. } = model;
        if let Some(known) = exists(bench, &name, builtin)? {
            ensure!(known == dimensions, "{name} is listed with {dimensions} dimensions and has {known}");
        }
    }
    if let Some(model) = provider.default_model() {
        exists(bench, model, false)?;
    }
    if let Some(model) = provider.builtin_model() {
        exists(bench, model, true)?;
    }
    let descriptor = &bench.descriptor;
    ensure!(descriptor.provider() == name, "a descriptor of '{name}' says that '{}' made it", descriptor.provider());
    let (said, asked) = (descriptor.model(), &bench.subject.model);
    ensure!(said == asked, "the model '{asked}' calls itself '{said}', so it cannot be named again");
    Ok(())
}

/// The dimensions of a listed model. One that is not built in may need an option, which its refusal must name, or may have to be
/// downloaded first.
fn exists(bench: &Bench, model: &str, builtin: bool) -> Result<Option<usize>, Failure> {
    let error = match bench.provider.image_embedder(model, &EmbedOptions::default()) {
        Ok(descriptor) => return Ok(Some(descriptor.dimensions().size)),
        Err(error) => error,
    };
    let hint = error.hint_text().unwrap_or_default();
    let says_how = match error.kind() {
        ErrorKind::BadOption => bench.provider.option_specs().iter().any(|option| hint.contains(option.name)),
        ErrorKind::UnknownModel => error.message().contains(model) && hint.contains(model),
        _ => false,
    };
    if builtin || !says_how { Err(Failure::from(error).during(model)) } else { Ok(None) }
}
