//! What `imbed providers` and `imbed models` print of a provider is true.

use imbed_core::EmbedOptions;

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, Failure, ensure},
    bench::Bench,
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "listing",
    promise: "the provider is found by its names, and the models it lists exist with the dimensions it lists",
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
        let descriptor = provider.image_embedder(&model.name, &EmbedOptions::default());
        let known = descriptor.map_err(|e| Failure::from(e).during(&model.name))?.dimensions().size;
        ensure!(
            known == model.dimensions,
            "{} is listed with {} dimensions and has {known}",
            model.name,
            model.dimensions
        );
    }
    for usual in [provider.default_model(), provider.builtin_model()].into_iter().flatten() {
        provider.image_embedder(usual, &EmbedOptions::default()).map_err(|e| Failure::from(e).during(usual))?;
    }
    let descriptor = &bench.descriptor;
    ensure!(descriptor.provider() == name, "a descriptor of '{name}' says that '{}' made it", descriptor.provider());
    let (said, asked) = (descriptor.model(), &bench.subject.model);
    ensure!(said == asked, "the model '{asked}' calls itself '{said}', so it cannot be named again");
    Ok(())
}
