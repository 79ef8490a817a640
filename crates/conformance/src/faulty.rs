//! A provider that misbehaves on demand, to test what deals with providers: this suite, an engine, a front end.
//!
//! Its models are called after what is wrong with them, such as `faulty/swaps-rows`; `faulty/none` is as it should be. It is
//! not registered by itself; a test's program does that:
//!
//! ```
//! use std::sync::Arc;
//! use imbed_conformance::faulty::FaultyProvider;
//!
//! imbed_core::register_provider!(default_priority = 0, || Arc::new(FaultyProvider::local("faulty")));
//!
//! let provider = imbed_core::Registry::linked().get("faulty")?.clone();
//! let model = provider.image_embedder("faulty/gives-nan", &imbed_core::EmbedOptions::default())?;
//! assert_eq!(model.dimensions().size, imbed_conformance::faulty::WIDTH);
//! # Ok::<(), imbed_core::Error>(())
//! ```

mod descriptor;
mod embedder;
mod fault;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use imbed_core::{
    EmbedOptions, Error, ErrorKind, ImageEmbedderDescriptor, ModelInfo, Provider, Result, options::OptionSpec,
};

pub use embedder::{WIDTH, vector};
pub use fault::Fault;

use descriptor::FaultyDescriptor;

/// The key that the provider was given, as it were. It is in no error and no log, but for the faults that tell it.
pub const SECRET: &str = "sk-faulty-0123456789";
/// The key that [`Fault::LogsItsSecret`] writes to the log, where it stays for the rest of the process.
pub const LOGGED_SECRET: &str = "sk-logged-9876543210";

/// Makes models that misbehave.
#[derive(Debug, Clone)]
pub struct FaultyProvider {
    name: &'static str,
    kind: Kind,
}

/// What the provider itself is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Computes on the calling thread, from pixels.
    Local,
    /// Is asynchronous, and reads encoded files.
    Remote,
    /// Like local, but lists dimensions that its models do not have.
    Liar,
    /// Like local, but takes any model and any option.
    Careless,
}

impl FaultyProvider {
    /// One whose models compute on the calling thread, from pixels.
    pub const fn local(name: &'static str) -> Self {
        Self { name, kind: Kind::Local }
    }

    /// One whose models are asynchronous and read encoded files.
    pub const fn remote(name: &'static str) -> Self {
        Self { name, kind: Kind::Remote }
    }

    /// One that lists dimensions which its models do not have.
    pub const fn liar(name: &'static str) -> Self {
        Self { name, kind: Kind::Liar }
    }

    /// One that takes any model and any option.
    pub const fn careless(name: &'static str) -> Self {
        Self { name, kind: Kind::Careless }
    }
}

const SPECS: &[OptionSpec] =
    &[OptionSpec { name: "counter", values: "0, 1, 2, …", summary: "counts the calls that reach the model" }];

impl Provider for FaultyProvider {
    fn name(&self) -> &str {
        self.name
    }
    fn summary(&self) -> &'static str {
        "models that misbehave, for tests"
    }
    fn is_local(&self) -> bool {
        self.kind != Kind::Remote
    }
    fn option_specs(&self) -> &[OptionSpec] {
        SPECS
    }
    fn models(&self) -> Vec<ModelInfo> {
        let dimensions = if self.kind == Kind::Liar { WIDTH + 1 } else { WIDTH };
        let model = |fault: Fault| ModelInfo {
            name: fault.model(),
            dimensions,
            summary: format!("a model that {}", fault.word()),
            builtin: true,
        };
        // The one that announces another width would be a lie in this list.
        Fault::ALL.iter().copied().filter(|f| *f != Fault::AnnouncesAnotherWidth).map(model).collect()
    }
    fn accepts(&self) -> &'static str {
        "faulty/ and the word for a fault"
    }
    fn default_model(&self) -> Option<&str> {
        Some("faulty/none")
    }
    fn image_embedder(&self, model: &str, options: &EmbedOptions) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        let careless = self.kind == Kind::Careless;
        let fault = match Fault::of_model(model) {
            Some(fault) => fault,
            None if careless => Fault::None,
            None => {
                return Err(Error::new(ErrorKind::UnknownModel, format!("there is no model '{model}'"))
                    .hint(format!("give {}, such as faulty/none", self.accepts())));
            }
        };
        let descriptor = FaultyDescriptor::new(self.name, model, fault, self.kind == Kind::Remote, options);
        if !careless {
            descriptor.check()?;
        }
        Ok(Arc::new(descriptor))
    }
    fn restore(&self, config: &serde_json::Value) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        Ok(Arc::new(FaultyDescriptor::restore(config)?))
    }
}

static COUNTERS: Mutex<Vec<Arc<AtomicUsize>>> = Mutex::new(Vec::new());

/// A new counter of calls, and the value of the option `counter` that makes a model count with it.
pub fn count_calls() -> (String, Arc<AtomicUsize>) {
    let mut counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    let counter = Arc::new(AtomicUsize::new(0));
    counters.push(Arc::clone(&counter));
    ((counters.len() - 1).to_string(), counter)
}

/// Counts a call for whoever asked for it.
fn count(options: &EmbedOptions) {
    let Some(number) = options.extra.get("counter").and_then(serde_json::Value::as_u64) else { return };
    let counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(counter) = counters.get(number as usize) {
        counter.fetch_add(1, SeqCst);
    }
}
