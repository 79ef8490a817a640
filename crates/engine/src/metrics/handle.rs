//! The counters of a run, for who looks at it from outside.

use std::sync::{Arc, Weak};

use imbed_core::Usage;

use super::{Metrics, MetricsSnapshot};
use crate::{budget::Budget, cache::Cache, fetch::Window, load::Loaded};

/// Reads the counters of one run from any thread, while it runs and after. It keeps the model loaded as an engine does.
#[derive(Debug, Clone)]
pub struct MetricsHandle {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) loaded: Arc<Loaded>,
    /// Not kept alive: its files are closed at the end of the run.
    pub(crate) cache: Option<Weak<Cache>>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) window: Option<Arc<Window>>,
    /// What the model's services were asked for by earlier runs.
    pub(crate) used_before: Usage,
}

impl MetricsHandle {
    /// The counters so far.
    pub fn snapshot(&self) -> MetricsSnapshot {
        let mut snapshot = self.metrics.snapshot();
        let used = self.loaded.usage().unwrap_or(self.used_before);
        snapshot.service = since(used, self.used_before);
        snapshot.cache_failure = self.cache.as_ref().and_then(Weak::upgrade).and_then(|cache| cache.failure());
        snapshot.queues.waiting_bytes = self.budget.bytes();
        snapshot.queues.fetched_bytes = self.window.as_ref().map_or(0, |window| window.bytes());
        snapshot
    }
}

/// What was used since `before`.
fn since(now: Usage, before: Usage) -> Usage {
    let mut used = now;
    used.requests -= before.requests.min(now.requests);
    used.retries -= before.retries.min(now.retries);
    used.tokens -= before.tokens.min(now.tokens);
    used.bytes_sent -= before.bytes_sent.min(now.bytes_sent);
    used
}
