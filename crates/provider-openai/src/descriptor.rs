//! One model of one service, before anything is asked of it.

use std::{num::NonZeroUsize, sync::Arc};

use imbed_core::{
    Capability, Device, DeviceRequest, EmbedOptions, Embedder, EmbeddingDimensions, Error, ErrorKind, Execution,
    ImageEmbedderDescriptor, InputSpec, Requirements, Result,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    bucket::Bucket,
    client::Client,
    dialect::{Dialect, Json},
    embedder::Remote,
    fit::Fit,
    flow::Flow,
    key::Key,
    limits::Limits,
    models::{Cuts, Used},
    probe::probe,
    service::{Counters, Service},
    settings::{Encoding, Settings, recorded},
};

/// Requests under way at once, where nobody says otherwise; the engine's plan says the same.
const CONCURRENCY: usize = 8;

/// A service's model and the options to ask it with. Serialised, it holds no key: whoever restores it reads its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OpenAiDescriptor {
    model: String,
    options: EmbedOptions,
    settings: Settings,
    input: InputSpec,
    /// Numbers per vector that come back.
    width: usize,
    /// Numbers per vector that the service is asked to cut to.
    cut: Option<usize>,
    /// The key, where it was given as an option.
    #[serde(skip)]
    key: Option<SecretString>,
}

impl OpenAiDescriptor {
    /// Reads the options. Asks nothing of the service, unless the width is unknown and the option `probe` says to.
    pub(crate) fn new(model: &str, options: &EmbedOptions) -> Result<Self> {
        let (settings, key) = Settings::read(options)?;
        let dialect = settings.dialect()?;
        check_options(options, &settings, dialect)?;
        let media_types = dialect.media_types.iter().map(ToString::to_string).collect();
        let mut descriptor = Self {
            model: model.to_owned(),
            options: recorded(options),
            input: InputSpec::Encoded { media_types },
            width: 0,
            cut: None,
            settings,
            key,
        };
        (descriptor.width, descriptor.cut) = match (descriptor.widths(dialect), descriptor.settings.probe) {
            (Ok(widths), _) => widths,
            (Err(Unknown), true) => (probe(descriptor.service(dialect)?)?, None),
            (Err(Unknown), false) => return Err(unknown_width(model, dialect)),
        };
        if let Some(wanted) = options.dimensions
            && wanted.get() > descriptor.width
        {
            let what = format!("dimensions {wanted} is more than the {} that '{model}' gives", descriptor.width);
            return Err(Error::new(ErrorKind::BadOption, what).hint("ask for fewer, or leave the option out"));
        }
        Ok(descriptor)
    }

    /// The descriptor that `json` tells of.
    pub(crate) fn restore(json: &serde_json::Value) -> Result<Self> {
        let wrong = |what: String| {
            Error::new(ErrorKind::Config, format!("a descriptor of openai cannot be restored: {what}"))
                .hint("both ends must run the same version of imbed")
        };
        let restored = Self::deserialize(json).map_err(|e| wrong(e.to_string()))?;
        // It came over a wire: what could not have been made here is not taken.
        let dialect = restored.settings.dialect()?;
        check_options(&restored.options, &restored.settings, dialect)?;
        if restored.width == 0 || restored.width > MOST_WIDTH {
            return Err(wrong(format!("a width of {}", restored.width)));
        }
        Ok(restored)
    }

    /// The width of the vectors that come back, and the width that the service is asked for.
    fn widths(&self, dialect: &Dialect) -> Result<(usize, Option<usize>), Unknown> {
        let wanted = self.options.dimensions.map(NonZeroUsize::get);
        let model = dialect.model(&self.model);
        if let Some(width) = self.settings.width {
            return Ok((width, None));
        }
        match (model, wanted) {
            (Some(model), Some(wanted)) => {
                let by_service = match model.cuts {
                    Cuts::Never => false,
                    Cuts::Any => wanted <= model.width,
                    Cuts::To(widths) => widths.contains(&wanted),
                };
                // What the service does not cut, the engine does.
                Ok(if by_service { (wanted, Some(wanted)) } else { (model.width, None) })
            }
            (Some(model), None) => Ok((model.width, None)),
            (None, Some(wanted)) if dialect.body.has(&Json::Dimensions) => Ok((wanted, Some(wanted))),
            (None, _) => Err(Unknown),
        }
    }

    /// The service, not asked yet.
    fn service(&self, dialect: &'static Dialect) -> Result<Service> {
        let settings = &self.settings;
        let key = Key::find(dialect, self.key.as_ref(), settings.api_key_env.as_deref())?;
        Ok(Service {
            client: Client::new(settings, dialect, &self.model, key)?,
            dialect,
            model: self.model.clone(),
            width: (self.width > 0).then_some(self.width),
            dimensions: self.cut,
            input_type: settings.input_type.clone(),
            base64: settings.encoding == Encoding::Base64,
            max_retries: self.options.max_retries,
            flow: Flow::new(self.options.concurrency.map_or(CONCURRENCY, NonZeroUsize::get)),
            requests: settings.requests_per_minute.map(Bucket::per_minute),
            tokens: settings.tokens_per_minute.map(Bucket::per_minute),
            counters: Counters::default(),
        })
    }

    /// The dialect's or the model's bounds, narrowed by the options.
    fn limits(&self, dialect: &Dialect) -> Limits {
        let of_model = dialect.model(&self.model).and_then(|model| model.limits);
        let mut limits = of_model.unwrap_or(dialect.limits);
        let settings = &self.settings;
        limits.rows = limits.rows.min(settings.max_request_rows.map_or(usize::MAX, |n| n as usize));
        limits.request_bytes = limits.request_bytes.min(settings.max_request_bytes.unwrap_or(u64::MAX));
        limits
    }
}

/// No vector that anybody makes is longer.
const MOST_WIDTH: usize = 1 << 16;

/// The width of a model is not known.
struct Unknown;

fn unknown_width(model: &str, dialect: &Dialect) -> Error {
    let known: Vec<&str> = dialect.models.iter().map(|m| m.name).collect();
    Error::new(
        ErrorKind::UnknownModel,
        format!("how many numbers '{model}' gives is not known for the dialect {}", dialect.name),
    )
    .hint(format!(
        "set width=N if you know it, or probe=true to ask the service with one request; known models: {}",
        known.join(", ")
    ))
}

/// Refuses options that would do nothing.
fn check_options(options: &EmbedOptions, settings: &Settings, dialect: &Dialect) -> Result<()> {
    let bad = |what: String, hint: &str| Err(Error::new(ErrorKind::BadOption, what).hint(hint.to_owned()));
    let elsewhere = [
        ("dtype", options.dtype.is_some()),
        ("device", options.device != DeviceRequest::Auto),
        ("num_gpus", options.num_gpus.is_some()),
        ("image_size", options.image_size.is_some()),
    ];
    if let Some((name, _)) = elsewhere.iter().find(|(_, given)| *given) {
        return bad(
            format!("the option {name} means nothing to a service"),
            "leave it out: the model runs elsewhere, as its service has set it up",
        );
    }
    if settings.input_type.is_some() && !dialect.body.has(&Json::InputType) {
        return bad(format!("the dialect {} has no input_type", dialect.name), "leave the option out");
    }
    if settings.width.is_some_and(|width| width > MOST_WIDTH) {
        return bad(format!("the option width is at most {MOST_WIDTH}"), "give the numbers per vector");
    }
    Ok(())
}

impl ImageEmbedderDescriptor for OpenAiDescriptor {
    fn provider(&self) -> &'static str {
        crate::NAME
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn options(&self) -> &EmbedOptions {
        &self.options
    }

    fn dimensions(&self) -> EmbeddingDimensions {
        EmbeddingDimensions::f32(self.options.dimensions.map_or(self.width, |cut| cut.get().min(self.width)))
    }

    fn input(&self) -> &InputSpec {
        &self.input
    }

    fn execution(&self) -> Execution {
        Execution::Async
    }

    fn requirements(&self) -> Requirements {
        Requirements { weights_bytes: None, bytes_per_image: None, macs_per_image: None }
    }

    fn capability(&self) -> Capability {
        Capability {
            // A batch is packed into as many requests as it takes.
            max_batch_rows: None,
            normalized: self.settings.dialect().is_ok_and(|dialect| dialect.normalized),
            dimensions_override: true,
            deterministic: false,
            poolings: vec![],
            dtypes: vec![],
            devices: vec![],
        }
    }

    fn weights_hash(&self) -> Result<Option<String>> {
        Ok(None)
    }

    fn to_json(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("the descriptor of {}: {e}", self.model)).source(e))
    }

    fn instantiate(&self, _: Device) -> Result<Embedder> {
        let dialect = self.settings.dialect()?;
        let limits = self.limits(dialect);
        let used = dialect.model(&self.model).map_or(Used::Unknown, |model| model.used);
        let fit = Fit::new(&limits, used, self.settings.max_image_pixels, &self.options);
        Ok(Embedder::Async(Arc::new(Remote::new(self.service(dialect)?, fit, limits, self.width))))
    }
}

#[cfg(test)]
mod tests {
    use imbed_core::options::OptionMap;

    use super::*;
    use crate::settings::OPTIONS;

    fn describe(model: &str, pairs: &[(&'static str, &'static str)]) -> Result<OpenAiDescriptor> {
        let options = pairs.iter().copied().collect::<OptionMap>().read(OPTIONS)?;
        OpenAiDescriptor::new(model, &options)
    }

    /// The width that comes back, the width asked for, the width that the user gets.
    fn widths(model: &str, pairs: &[(&'static str, &'static str)]) -> (usize, Option<usize>, usize) {
        let descriptor = describe(model, pairs).unwrap();
        (descriptor.width, descriptor.cut, descriptor.dimensions().size)
    }

    #[test]
    fn a_known_model_needs_no_width_and_is_cut_by_its_service_where_that_can() {
        let v35 = "voyage-multimodal-3.5";
        assert_eq!(widths(v35, &[("dialect", "voyage")]), (1024, None, 1024));
        assert_eq!(widths(v35, &[("dialect", "voyage"), ("dimensions", "2048")]), (2048, Some(2048), 2048));
        assert_eq!(widths(v35, &[("dialect", "voyage"), ("dimensions", "100")]), (1024, None, 100));
        assert_eq!(widths("jina-clip-v2", &[("dialect", "jina"), ("dimensions", "64")]), (64, Some(64), 64));
        let clip = "openai/clip-vit-base-patch32";
        assert_eq!(widths(clip, &[("dialect", "infinity"), ("dimensions", "64")]), (512, None, 64));
    }

    #[test]
    fn an_unknown_model_takes_its_width_from_the_options_and_is_never_guessed() {
        assert_eq!(widths("mine", &[("dialect", "infinity"), ("width", "48")]), (48, None, 48));
        assert_eq!(widths("mine", &[("dialect", "infinity"), ("width", "48"), ("dimensions", "16")]), (48, None, 16));
        assert_eq!(widths("mine", &[("dialect", "infinity"), ("dimensions", "16")]), (16, Some(16), 16));
        let error = describe("mine", &[("dialect", "infinity")]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownModel);
        assert!(error.hint_text().unwrap().contains("width=N"), "{error}");
    }

    #[test]
    fn options_that_would_do_nothing_are_refused() {
        for pair in [
            ("dtype", "f16"),
            ("device", "cpu"),
            ("image_size", "336"),
            ("num_gpus", "1"),
            ("input_type", "query"),
            ("dimensions", "49"),
        ] {
            let error = describe("mine", &[("dialect", "infinity"), ("width", "48"), pair]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadOption, "{pair:?}");
            assert!(error.hint_text().is_some());
        }
    }

    #[test]
    fn a_descriptor_is_the_same_after_a_journey_but_for_the_key() {
        let pairs = [("dialect", "jina"), ("api_key", "sk-secret"), ("max_retries", "7"), ("timeout", "3")];
        let descriptor = describe("jina-clip-v2", &pairs).unwrap();
        let json = descriptor.to_json().unwrap();
        assert!(!json.to_string().contains("sk-secret") && !format!("{descriptor:?}").contains("sk-secret"));
        let back = OpenAiDescriptor::restore(&json).unwrap();
        assert_eq!((back.width, back.options.max_retries, back.settings.timeout), (1024, 7, 3.0));
        assert!(back.key.is_none());
    }

    #[test]
    fn what_could_not_have_been_made_here_is_not_restored() {
        let json = describe("mine", &[("dialect", "infinity"), ("width", "48")]).unwrap().to_json().unwrap();
        for (field, value) in [("width", serde_json::json!(0)), ("settings", serde_json::json!({"dialect": "openai"}))]
        {
            let mut broken = json.clone();
            broken[field] = value;
            assert!(OpenAiDescriptor::restore(&broken).is_err(), "{field}");
        }
        assert!(OpenAiDescriptor::restore(&serde_json::Value::Null).is_err());
    }

    #[test]
    fn the_third_generation_of_cohere_takes_one_image_a_request() {
        let descriptor = describe("embed-english-v3.0", &[("dialect", "cohere")]).unwrap();
        assert_eq!(descriptor.limits(descriptor.settings.dialect().unwrap()).rows, 1);
    }
}
