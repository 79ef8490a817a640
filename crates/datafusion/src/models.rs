//! From the arguments of `embed_image` to a configured model, at plan time.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use arrow_schema::Field;
use imbed_core::{
    Error, ErrorKind, ImageEmbedderDescriptor, Registry, Result, SerializedDescriptor, Session,
    options::{OnError, OptionMap, OptionSpec},
    session::Request,
};
use imbed_engine::Engine;

use crate::error::copy;

/// Brings a model's files to this machine.
pub(crate) type Fetch = dyn Fn(&Session, &Request) -> Result<()> + Send + Sync;

/// What decides which model `embed_image` means, and what was decided so far.
pub(crate) struct Models {
    session: OnceLock<Result<Session>>,
    fetch: Option<Arc<Fetch>>,
    hash_weights: bool,
    resolved: Mutex<HashMap<String, Arc<Model>>>,
}

/// A model as a plan holds it: nothing is loaded.
#[derive(Debug)]
pub(crate) struct Model {
    /// The configured model. Its `on_error` is `ignore`, because rows of several queries pass through it; theirs is beside it.
    pub(crate) descriptor: Arc<dyn ImageEmbedderDescriptor>,
    /// What the query wants of rows that fail.
    pub(crate) on_error: OnError,
    /// The type of its vectors, and what made them.
    pub(crate) field: Field,
    /// The descriptor as text: equal where the loaded model can be shared.
    pub(crate) key: String,
    /// The folder that relative paths start from, if the query comes from elsewhere.
    pub(crate) base: Option<String>,
}

impl Model {
    /// Whether `other` gives the same column: the same vectors, and the same for rows that fail.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        (&self.key, self.on_error, &self.field, &self.base) == (&other.key, other.on_error, &other.field, &other.base)
    }
}

impl Models {
    /// Models as `session` knows them, or as the environment and `imbed.toml` say once one is asked for.
    pub(crate) fn new(session: Option<Session>, fetch: Option<Arc<Fetch>>, hash_weights: bool) -> Self {
        let session = session.map_or_else(OnceLock::new, |session| OnceLock::from(Ok(session)));
        Self { session, fetch, hash_weights, resolved: Mutex::default() }
    }

    /// The model that `request` means. What was resolved once is not resolved again, as planners ask many times.
    pub(crate) fn resolve(&self, request: &Request) -> Result<Arc<Model>> {
        let asked = format!("{request:?}");
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = resolved.get(&asked) {
            return Ok(Arc::clone(model));
        }
        let session = self.session()?;
        if let Some(fetch) = &self.fetch {
            fetch(session, request)?;
        }
        let first = session.resolve(request)?.descriptor;
        let on_error = first.options().on_error;
        let descriptor = if on_error == OnError::Ignore {
            first
        } else {
            let mut tolerant = request.clone();
            tolerant.options.set("on_error", "ignore");
            session.resolve(&tolerant)?.descriptor
        };
        let field = Engine::field_of("embed_image", descriptor.as_ref(), self.hash_weights)?;
        let serialized = SerializedDescriptor::of(descriptor.as_ref())?;
        let key = serde_json::to_string(&serialized)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("the model cannot be described: {e}")).source(e))?;
        let model = Arc::new(Model { descriptor, on_error, field, key, base: None });
        resolved.insert(asked, Arc::clone(&model));
        Ok(model)
    }

    /// The options of all providers beyond the common ones.
    pub(crate) fn option_specs(&self) -> Vec<OptionSpec> {
        let registry = match self.session.get() {
            Some(Ok(session)) => session.registry().clone(),
            _ => Registry::linked(),
        };
        let mut specs: Vec<OptionSpec> = registry.iter().flat_map(|p| p.option_specs().to_vec()).collect();
        specs.sort_by_key(|spec| spec.name);
        specs.dedup_by_key(|spec| spec.name);
        specs
    }

    fn session(&self) -> Result<&Session> {
        self.session.get_or_init(Session::from_environment).as_ref().map_err(copy)
    }
}

/// The request that the JSON object `options` and single options make, the latter over the former.
pub(crate) fn request(
    provider: Option<String>,
    model: Option<String>,
    json: Option<&str>,
    single: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<Request> {
    let mut options = OptionMap::default();
    if let Some(json) = json {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).map_err(|e| {
            Error::new(ErrorKind::BadOption, format!("the argument options is not a JSON object: {e}"))
                .hint(r#"such as '{"normalize": true, "batch_size": 16}'"#)
        })?;
        options.lay_over(object);
    }
    for (name, text) in single {
        options.set(name, &text);
    }
    Ok(Request { provider, model, options })
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Models").field("hash_weights", &self.hash_weights).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_options_win_over_the_object() {
        let request = request(
            None,
            Some("imbed/tiny".into()),
            Some(r#"{"batch_size": 4, "normalize": true}"#),
            [("batch_size", "8".to_owned())],
        )
        .unwrap();
        let options = request.options.read(&[]).unwrap();
        assert_eq!((options.batch_size.unwrap().get(), options.normalize), (8, Some(true)));
        assert!(super::request(None, None, Some("[1]"), []).unwrap_err().message().contains("JSON object"));
    }

    #[test]
    fn a_model_is_resolved_once_and_shared_whatever_a_query_wants_of_failing_rows() {
        use imbed_provider_candle as _;
        let models = Models::new(Some(Session::new(Registry::linked())), None, false);
        let ask = |on_error: &str| {
            let request = request(None, Some("imbed/tiny".into()), None, [("on_error", on_error.to_owned())]).unwrap();
            models.resolve(&request).unwrap()
        };
        let (raise, log) = (ask("raise"), ask("log"));
        assert!(Arc::ptr_eq(&raise, &ask("raise")));
        assert_eq!((raise.on_error, log.on_error), (OnError::Raise, OnError::Log));
        assert_eq!(raise.key, log.key);
        assert!(!raise.field.metadata().contains_key("imbed.weights"), "the weights were read");
    }
}
