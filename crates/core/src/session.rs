//! Which provider, which model, which options: one place decides.
//!
//! In order: the explicit argument, the session, the environment and `imbed.toml`, the default. Where nobody names a provider
//! or a model, that is the built-in model; where a provider is named without a model, it is the provider's default model.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use crate::{
    EmbedOptions, Error, ErrorKind, FetchProgress, FetchScope, ImageEmbedderDescriptor, Provider, Registry, Result,
    config::{Config, NamedProvider},
    options::{OptionMap, OptionSpec, Pooling},
};

/// Named, configured providers and the current one.
///
/// ```no_run
/// use imbed_core::{Session, options::OptionMap, session::Request};
///
/// let mut session = Session::from_environment()?;
/// session.set_provider("candle", OptionMap::from_iter([("batch_size", "16")]))?;
/// let resolved = session.resolve(&Request { model: Some("./clip".into()), ..Request::default() })?;
/// println!("{} numbers per image", resolved.descriptor.dimensions().size);
/// # Ok::<(), imbed_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Session {
    registry: Registry,
    config: Config,
    named: BTreeMap<String, Attached>,
    current: Option<String>,
}

#[derive(Debug, Clone)]
struct Attached {
    provider: Arc<dyn Provider>,
    model: Option<String>,
    options: OptionMap,
}

/// What was decided, before anything is made of it.
struct Choice {
    provider: Arc<dyn Provider>,
    model: String,
    options: EmbedOptions,
    provider_origin: Origin,
    model_origin: Origin,
}

/// What a caller asks for; whatever is `None` is looked up.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// A provider's name, alias, or a name of the session.
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// Options, over everybody else's.
    pub options: OptionMap,
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The caller's argument.
    Explicit,
    /// The session's current provider.
    Session,
    /// The environment or `imbed.toml`.
    Environment,
    /// Nobody: the default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "named by the caller",
            Self::Session => "the session's current one",
            Self::Environment => "from imbed.toml or the environment",
            Self::Default => "the default",
        })
    }
}

/// A descriptor and how it came to be chosen.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The configured model.
    pub descriptor: Arc<dyn ImageEmbedderDescriptor>,
    /// Who chose the provider.
    pub provider_origin: Origin,
    /// Who chose the model.
    pub model_origin: Origin,
}

impl Session {
    /// A session over `registry` that reads no file and no environment.
    pub fn new(registry: Registry) -> Self {
        Self { registry, config: Config::default(), named: BTreeMap::new(), current: None }
    }

    /// The linked providers, `imbed.toml` and the environment.
    pub fn from_environment() -> Result<Self> {
        Ok(Self::new(Registry::linked()).with_config(Config::load(None)?))
    }

    /// Uses `config` below everything that the session itself is told.
    #[must_use]
    pub fn with_config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The providers that names are looked up among.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Makes the provider `name` current, with `options` under those of later requests.
    pub fn set_provider(&mut self, name: &str, options: OptionMap) -> Result<()> {
        let provider = Arc::clone(self.registry.get(name)?);
        self.attach(name, provider, options);
        Ok(())
    }

    /// Makes `provider` known as `name`, and current. It need not be registered.
    pub fn attach(&mut self, name: &str, provider: Arc<dyn Provider>, options: OptionMap) {
        self.named.insert(name.to_owned(), Attached { provider, model: None, options });
        self.current = Some(name.to_owned());
    }

    /// The name of the current provider, if the session has one.
    pub fn current_provider(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// Whether nothing may be downloaded, as `imbed.toml`, the environment or [`set_offline`](Self::set_offline) said.
    pub fn is_offline(&self) -> bool {
        self.config.offline
    }

    /// From here on, [`fetch`](Self::fetch) downloads nothing, or may again.
    pub fn set_offline(&mut self, offline: bool) {
        self.config.offline = offline;
    }

    /// The folder where vectors are kept for later runs, as `imbed.toml` or the environment said.
    pub fn cache(&self) -> Option<&Path> {
        self.config.cache.as_deref().filter(|folder| !folder.as_os_str().is_empty())
    }

    /// Brings the files of the model that `request` means to this machine, as far as `scope` goes and they are not here yet.
    ///
    /// Does nothing when the session is [offline](Self::is_offline); [`resolve`](Self::resolve) then says what is missing.
    pub fn fetch(&self, request: &Request, scope: FetchScope, progress: &mut dyn FetchProgress) -> Result<()> {
        if self.is_offline() {
            return Ok(());
        }
        let choice = self.choose(request)?;
        choice.provider.fetch(&choice.model, &choice.options, scope, progress)
    }

    /// Decides provider, model and options, and makes the descriptor. Uses no network: see [`fetch`](Self::fetch).
    pub fn resolve(&self, request: &Request) -> Result<Resolved> {
        let Choice { provider, model, options, provider_origin, model_origin } = self.choose(request)?;
        let descriptor = provider.image_embedder(&model, &options)?;
        check_pooling(descriptor.as_ref(), options.pooling)?;
        Ok(Resolved { descriptor, provider_origin, model_origin })
    }

    fn choose(&self, request: &Request) -> Result<Choice> {
        let (attached, provider_origin) = self.provider(request.provider.as_deref())?;
        let provider = attached.provider;

        // A model in imbed.toml belongs to the provider chosen there, not to one that the caller named over it.
        let from_config = matches!(provider_origin, Origin::Environment | Origin::Default);
        let config_model = self.config.model.as_deref().filter(|_| from_config);
        let default = match provider_origin {
            Origin::Default => provider.builtin_model().or(provider.default_model()),
            _ => provider.default_model(),
        };
        let (model, model_origin) = [
            (request.model.as_deref(), Origin::Explicit),
            (attached.model.as_deref(), Origin::Environment),
            (config_model, Origin::Environment),
            (default, Origin::Default),
        ]
        .into_iter()
        .find_map(|(model, origin)| Some((model?.to_owned(), origin)))
        .ok_or_else(|| no_model(provider.as_ref()))?;

        let mut options = OptionMap::from(self.config.options.clone());
        options.lay_over(attached.options);
        options.lay_over(request.options.clone());
        let options = options.read(provider.option_specs())?;
        Ok(Choice { provider, model, options, provider_origin, model_origin })
    }

    fn provider(&self, explicit: Option<&str>) -> Result<(Attached, Origin)> {
        if let Some(name) = explicit {
            return Ok((self.lookup(name)?, Origin::Explicit));
        }
        if let Some(name) = &self.current {
            return Ok((self.lookup(name)?, Origin::Session));
        }
        if let Some(name) = &self.config.provider {
            let found = self.lookup(name).map_err(|e| e.context("the provider of imbed.toml or IMBED_PROVIDER"))?;
            return Ok((found, Origin::Environment));
        }
        let provider = Arc::clone(self.registry.default_provider()?);
        Ok((Attached { provider, model: None, options: OptionMap::default() }, Origin::Default))
    }

    /// `name` among the session's own names, then those of `imbed.toml`, then the registered ones.
    fn lookup(&self, name: &str) -> Result<Attached> {
        if let Some(attached) = self.named.get(name) {
            return Ok(attached.clone());
        }
        if let Some(NamedProvider { provider, model, options }) = self.config.providers.get(name) {
            let provider =
                self.registry.get(provider).map_err(|e| e.context(format!("[providers.{name}] of imbed.toml")))?;
            return Ok(Attached {
                provider: Arc::clone(provider),
                model: model.clone(),
                options: options.clone().into(),
            });
        }
        Ok(Attached { provider: Arc::clone(self.registry.get(name)?), model: None, options: OptionMap::default() })
    }

    /// The options that a provider knows beyond the common ones.
    pub fn option_specs(&self, provider: Option<&str>) -> Result<Vec<OptionSpec>> {
        Ok(self.provider(provider)?.0.provider.option_specs().to_vec())
    }
}

fn no_model(provider: &dyn Provider) -> Error {
    Error::new(ErrorKind::UnknownModel, format!("the provider '{}' has no default model", provider.name()))
        .hint(format!("name one: {}", provider.accepts()))
}

fn check_pooling(descriptor: &dyn ImageEmbedderDescriptor, asked: Option<Pooling>) -> Result<()> {
    let Some(asked) = asked else { return Ok(()) };
    let known = descriptor.capability().poolings;
    if known.contains(&asked) {
        return Ok(());
    }
    let hint = if known.is_empty() {
        "leave the option away: this model has one way only".to_owned()
    } else {
        format!("this model offers: {}", known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    };
    Err(Error::new(ErrorKind::BadOption, format!("the model '{}' has no pooling '{asked}'", descriptor.model()))
        .hint(hint))
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        Capability, Device, Embedder, EmbeddingDimensions, InputSpec, ModelInfo, Requirements, SerializedDescriptor,
    };

    /// A provider whose descriptors only remember what they were made from.
    #[derive(Debug)]
    pub(crate) struct FakeProvider(String);

    impl FakeProvider {
        pub(crate) fn named(name: &str) -> Arc<dyn Provider> {
            Arc::new(Self(name.to_owned()))
        }
    }

    impl Provider for FakeProvider {
        fn name(&self) -> &str {
            &self.0
        }
        fn aliases(&self) -> &[&str] {
            if self.0 == "first" { &["uno"] } else { &[] }
        }
        fn summary(&self) -> &'static str {
            "for tests"
        }
        fn is_local(&self) -> bool {
            true
        }
        fn option_specs(&self) -> &[OptionSpec] {
            &[OptionSpec { name: "colour", values: "any", summary: "" }]
        }
        fn models(&self) -> Vec<ModelInfo> {
            Vec::new()
        }
        fn accepts(&self) -> &'static str {
            "anything"
        }
        fn default_model(&self) -> Option<&str> {
            Some("usual")
        }
        fn builtin_model(&self) -> Option<&str> {
            Some("builtin")
        }
        fn fetch(
            &self,
            model: &str,
            _: &EmbedOptions,
            scope: FetchScope,
            progress: &mut dyn FetchProgress,
        ) -> Result<()> {
            progress.waiting(&format!("{} {model} {scope:?}", self.0));
            Ok(())
        }
        fn image_embedder(&self, model: &str, options: &EmbedOptions) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
            Ok(Arc::new(FakeDescriptor { provider: self.0.clone(), model: model.to_owned(), options: options.clone() }))
        }
        fn restore(&self, config: &Value) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
            let options = serde_json::from_value(config["options"].clone()).unwrap();
            self.image_embedder(config["model"].as_str().unwrap(), &options)
        }
    }

    #[derive(Debug)]
    struct FakeDescriptor {
        provider: String,
        model: String,
        options: EmbedOptions,
    }

    impl ImageEmbedderDescriptor for FakeDescriptor {
        fn provider(&self) -> &str {
            &self.provider
        }
        fn model(&self) -> &str {
            &self.model
        }
        fn options(&self) -> &EmbedOptions {
            &self.options
        }
        fn dimensions(&self) -> EmbeddingDimensions {
            EmbeddingDimensions::f32(4)
        }
        fn input(&self) -> &InputSpec {
            const { &InputSpec::Encoded { media_types: Vec::new() } }
        }
        fn requirements(&self) -> Requirements {
            Requirements { weights_bytes: None, bytes_per_image: None, macs_per_image: None }
        }
        fn capability(&self) -> Capability {
            Capability {
                max_batch_rows: None,
                normalized: false,
                dimensions_override: true,
                deterministic: true,
                poolings: vec![Pooling::Cls],
                dtypes: vec![],
                devices: vec!["cpu".to_owned()],
            }
        }
        fn weights_hash(&self) -> Result<Option<String>> {
            Ok(None)
        }
        fn to_json(&self) -> Result<Value> {
            Ok(json!({ "model": self.model, "options": self.options }))
        }
        fn instantiate(&self, _: Device) -> Result<Embedder> {
            Err(Error::new(ErrorKind::Internal, "a fake"))
        }
    }

    fn session() -> Session {
        Session::new(Registry::empty().with(FakeProvider::named("first")).with(FakeProvider::named("second")))
    }

    fn config(toml: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("imbed.toml");
        std::fs::write(&file, toml).unwrap();
        Config::load(Some(&file)).unwrap()
    }

    fn chosen(session: &Session, request: &Request) -> (String, String, Origin) {
        let resolved = session.resolve(request).unwrap();
        (resolved.descriptor.provider().to_owned(), resolved.descriptor.model().to_owned(), resolved.provider_origin)
    }

    #[test]
    fn explicit_beats_session_beats_environment_beats_default() {
        let nothing = Request::default();
        let explicit = Request { provider: Some("uno".into()), ..Request::default() };

        let mut session = session();
        assert_eq!(chosen(&session, &nothing), ("first".into(), "builtin".into(), Origin::Default));
        session = session.with_config(config("provider = 'second'\nmodel = 'theirs'"));
        assert_eq!(chosen(&session, &nothing), ("second".into(), "theirs".into(), Origin::Environment));
        session.set_provider("second", OptionMap::default()).unwrap();
        assert_eq!(chosen(&session, &nothing), ("second".into(), "usual".into(), Origin::Session));
        assert_eq!(chosen(&session, &explicit), ("first".into(), "usual".into(), Origin::Explicit));
    }

    #[test]
    fn what_is_fetched_is_what_is_resolved_and_an_offline_session_fetches_nothing() {
        #[derive(Default)]
        struct Told(Vec<String>);
        impl FetchProgress for Told {
            fn waiting(&mut self, why: &str) {
                self.0.push(why.to_owned());
            }
        }
        let mut session = session();
        let named = Request { provider: Some("second".into()), ..Request::default() };
        let mut told = Told::default();
        session.fetch(&Request::default(), FetchScope::Configuration, &mut told).unwrap();
        session.fetch(&named, FetchScope::Everything, &mut told).unwrap();
        assert_eq!(told.0, ["first builtin Configuration", "second usual Everything"]);
        session.set_offline(true);
        session.fetch(&named, FetchScope::Everything, &mut told).unwrap();
        assert_eq!(told.0.len(), 2);
        assert!(session.resolve(&named).is_ok());
    }

    #[test]
    fn options_are_laid_over_each_other_in_the_same_order() {
        let mut session = session().with_config(config("[options]\nbatch_size = 1\nmax_retries = 1\nalpha = 'black'"));
        session.set_provider("first", OptionMap::from_iter([("batch_size", "2"), ("max_retries", "2")])).unwrap();
        let request = Request { options: OptionMap::from_iter([("batch_size", "3")]), ..Request::default() };
        let descriptor = session.resolve(&request).unwrap().descriptor;
        assert_eq!(descriptor.options().batch_size.unwrap().get(), 3);
        assert_eq!(descriptor.options().max_retries, 2);
        assert_eq!(descriptor.options().alpha.to_string(), "black");
    }

    #[test]
    fn a_named_provider_brings_its_model_and_options() {
        let session = session()
            .with_config(config("[providers.mine]\nprovider = 'second'\nmodel = 'm'\noptions = { colour = 'red' }"));
        let resolved = session.resolve(&Request { provider: Some("mine".into()), ..Request::default() }).unwrap();
        assert_eq!((resolved.descriptor.provider(), resolved.descriptor.model()), ("second", "m"));
        assert_eq!(resolved.descriptor.options().extra["colour"], "red");
    }

    #[test]
    fn a_pooling_that_the_model_lacks_is_an_error_that_lists_the_others() {
        let request = Request { options: OptionMap::from_iter([("pooling", "mean")]), ..Request::default() };
        let error = session().resolve(&request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadOption);
        assert!(error.hint_text().unwrap().contains("cls"));
    }

    #[test]
    fn a_descriptor_is_the_same_after_a_journey() {
        let session = session();
        let request = Request {
            provider: Some("second".into()),
            model: Some("x".into()),
            options: OptionMap::from_iter([("batch_size", "5")]),
        };
        let sent = SerializedDescriptor::of(session.resolve(&request).unwrap().descriptor.as_ref()).unwrap();
        let wire = serde_json::to_string(&sent).unwrap();
        let back = session.registry().restore(&serde_json::from_str(&wire).unwrap()).unwrap();
        assert_eq!((back.provider(), back.model()), ("second", "x"));
        assert_eq!(back.options().batch_size.unwrap().get(), 5);
    }
}
