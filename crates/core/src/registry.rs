//! The providers that exist in this program, and what to say when one is missing.

use std::sync::{Arc, LazyLock};

use crate::{
    Error, ErrorKind, ImageEmbedderDescriptor, Provider, Result, SerializedDescriptor, error::nearest,
    provider::Registration,
};

/// Providers of the imbed project and the Cargo feature that links each, for the message when one is not linked.
const FEATURES: &[(&str, &[&str])] =
    &[("candle", &["transformers"]), ("onnx", &["onnxruntime"]), ("openai", &[]), ("torch", &["libtorch"])];

/// The providers known to a program.
#[derive(Debug, Clone)]
pub struct Registry {
    /// The default provider first, then by name.
    providers: Vec<Arc<dyn Provider>>,
}

impl Registry {
    /// No provider at all; add them with [`with`](Self::with).
    pub fn empty() -> Self {
        Self { providers: Vec::new() }
    }

    /// Every provider that was linked into this program. They are made once per process.
    pub fn linked() -> Self {
        static LINKED: LazyLock<Vec<Arc<dyn Provider>>> = LazyLock::new(|| {
            let mut found: Vec<(u32, Arc<dyn Provider>)> =
                inventory::iter::<Registration>.into_iter().map(|r| (r.default_priority, (r.make)())).collect();
            found.sort_by(|(pa, a), (pb, b)| pb.cmp(pa).then_with(|| a.name().cmp(b.name())));
            found.into_iter().map(|(_, provider)| provider).collect()
        });
        Self { providers: LINKED.clone() }
    }

    /// Adds `provider`, in place of one with the same name.
    #[must_use]
    pub fn with(mut self, provider: Arc<dyn Provider>) -> Self {
        self.providers.retain(|p| p.name() != provider.name());
        self.providers.push(provider);
        self
    }

    /// All providers, the default first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        self.providers.iter()
    }

    /// The provider where nobody named one.
    pub fn default_provider(&self) -> Result<&Arc<dyn Provider>> {
        self.providers.first().ok_or_else(|| {
            Error::new(ErrorKind::UnknownProvider, "no provider is linked into this program").hint(
                "enable one of imbed's Cargo features (candle, onnx, openai), or link a provider crate with `use that_crate as _;`",
            )
        })
    }

    /// The provider called `name`, by its name or an alias.
    pub fn get(&self, name: &str) -> Result<&Arc<dyn Provider>> {
        let wanted = name.to_ascii_lowercase();
        self.providers
            .iter()
            .find(|p| p.name() == wanted || p.aliases().contains(&wanted.as_str()))
            .ok_or_else(|| self.unknown(&wanted))
    }

    /// The descriptor that was serialised elsewhere.
    pub fn restore(&self, serialized: &SerializedDescriptor) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        self.get(&serialized.provider)?.restore(&serialized.config)
    }

    fn unknown(&self, name: &str) -> Error {
        let error = Error::new(ErrorKind::UnknownProvider, format!("there is no provider '{name}' in this program"));
        let feature = FEATURES.iter().find(|(f, aliases)| *f == name || aliases.contains(&name));
        if let Some((feature, _)) = feature {
            return error.hint(format!(
                "build imbed with the Cargo feature '{feature}' to add it; a program that depends on the provider's crate \
                 itself says `use imbed_provider_{feature} as _;`, as a linker leaves out what nobody refers to"
            ));
        }
        let known: Vec<&str> = self.providers.iter().map(|p| p.name()).collect();
        let meant = match nearest(name, known.iter().copied()).first() {
            Some(meant) => format!("did you mean '{meant}'? "),
            None => String::new(),
        };
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        error.hint(format!(
            "{meant}providers here: {known}; see `imbed providers`; a provider of another crate is here only if the \
             program says `use that_crate as _;`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::FakeProvider;

    #[test]
    fn a_failed_lookup_lists_what_exists_and_what_was_meant() {
        let registry = Registry::empty().with(FakeProvider::named("onyx")).with(FakeProvider::named("other"));
        let error = registry.get("onix").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownProvider);
        let hint = error.hint_text().unwrap();
        assert!(hint.contains("did you mean 'onyx'"), "{hint}");
        assert!(hint.contains("onyx, other"), "{hint}");
    }

    #[test]
    fn a_provider_of_ours_that_is_not_linked_names_its_feature() {
        let error = Registry::empty().get("transformers").unwrap_err();
        let hint = error.hint_text().unwrap();
        assert!(hint.contains("Cargo feature 'candle'") && hint.contains("use imbed_provider_candle as _;"), "{hint}");
    }

    #[test]
    fn a_provider_that_nobody_knows_may_be_one_that_was_not_linked() {
        let error = Registry::empty().get("theirs").unwrap_err();
        assert!(error.hint_text().unwrap().contains("use that_crate as _;"), "{error}");
    }

    #[test]
    fn the_same_name_replaces_the_first() {
        let registry = Registry::empty().with(FakeProvider::named("a")).with(FakeProvider::named("a"));
        assert_eq!(registry.iter().count(), 1);
    }
}
