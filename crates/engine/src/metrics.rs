//! Counts and times of a run, per stage.

mod handle;
mod latency;
mod queues;
mod sum;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use imbed_core::{ErrorKind, Usage, options::Dtype};
use serde::Serialize;

use self::latency::Buckets;
pub(crate) use self::queues::Queue;
pub use self::{handle::MetricsHandle, latency::Latency, queues::QueueDepths};

/// A stage whose time is summed over all its threads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    Read,
    Fetch,
    Decode,
    Preprocess,
    Model,
    ModelLoad,
}

impl Stage {
    /// All, with the names that measurements have.
    const ALL: [(Self, &'static str); 6] = [
        (Self::Read, "read"),
        (Self::Fetch, "fetch"),
        (Self::Decode, "decode"),
        (Self::Preprocess, "preprocess"),
        (Self::Model, "model"),
        (Self::ModelLoad, "model_load"),
    ];
}

/// Counters that all stages write to.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    stages: [Buckets; Stage::ALL.len()],
    queues: queues::Queues,
    rows: AtomicU64,
    embedded: AtomicU64,
    nulls: AtomicU64,
    bytes_read: AtomicU64,
    batches: AtomicU64,
    retries: AtomicU64,
    halvings: AtomicU64,
    fetched: AtomicU64,
    fetch_retries: AtomicU64,
    copies: AtomicU64,
    cached: AtomicU64,
    errors: Mutex<BTreeMap<ErrorKind, u64>>,
    dtype: OnceLock<Dtype>,
}

impl Metrics {
    /// Runs `work` and books its time to `stage`.
    pub(crate) fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add_time(stage, start.elapsed());
        result
    }

    pub(crate) fn add_time(&self, stage: Stage, time: Duration) {
        self.stages[stage as usize].add(time);
    }

    pub(crate) fn add_bytes_read(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Relaxed);
    }

    /// An image of so many bytes came by address.
    pub(crate) fn add_fetched(&self, bytes: usize) {
        self.fetched.fetch_add(1, Relaxed);
        self.add_bytes_read(bytes);
    }

    pub(crate) fn add_fetch_retry(&self) {
        self.fetch_retries.fetch_add(1, Relaxed);
    }

    /// Something came to wait in `queue`.
    pub(crate) fn entered(&self, queue: Queue) {
        self.queues.entered(queue);
    }

    /// Something was taken out of `queue`.
    pub(crate) fn left(&self, queue: Queue) {
        self.queues.left(queue);
    }

    pub(crate) fn add_batch(&self) {
        self.batches.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_halving(&self) {
        self.halvings.fetch_add(1, Relaxed);
    }

    /// What the model computes in; the first to say it is heard.
    pub(crate) fn set_dtype(&self, dtype: Option<Dtype>) {
        if let Some(dtype) = dtype {
            let _ = self.dtype.set(dtype);
        }
    }

    pub(crate) fn add_embedded(&self, rows: usize) {
        self.rows.fetch_add(rows as u64, Relaxed);
        self.embedded.fetch_add(rows as u64, Relaxed);
    }

    /// Rows that have the vector of an earlier one.
    pub(crate) fn add_copies(&self, rows: usize) {
        self.copies.fetch_add(rows as u64, Relaxed);
        self.add_embedded(rows);
    }

    /// A row that has a vector of an earlier run.
    pub(crate) fn add_cached(&self) {
        self.cached.fetch_add(1, Relaxed);
        self.add_embedded(1);
    }

    /// Whether the model has given a vector.
    pub(crate) fn model_has_proven_itself(&self) -> bool {
        let others = self.copies.load(Relaxed) + self.cached.load(Relaxed);
        self.embedded.load(Relaxed) > others
    }

    pub(crate) fn add_null(&self) {
        self.rows.fetch_add(1, Relaxed);
        self.nulls.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_error(&self, kind: ErrorKind) {
        self.rows.fetch_add(1, Relaxed);
        *self.errors.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() += 1;
    }

    pub(crate) fn snapshot(&self) -> MetricsSnapshot {
        let time = |stage: Stage| self.stages[stage as usize].sum();
        MetricsSnapshot {
            rows: self.rows.load(Relaxed),
            embedded: self.embedded.load(Relaxed),
            nulls: self.nulls.load(Relaxed),
            errors: self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            bytes_read: self.bytes_read.load(Relaxed),
            fetched: self.fetched.load(Relaxed),
            fetch_retries: self.fetch_retries.load(Relaxed),
            batches: self.batches.load(Relaxed),
            retries: self.retries.load(Relaxed),
            halvings: self.halvings.load(Relaxed),
            copies: self.copies.load(Relaxed),
            cached: self.cached.load(Relaxed),
            cache_failure: None,
            service: Usage::default(),
            dtype: self.dtype.get().copied(),
            read: time(Stage::Read),
            fetch: time(Stage::Fetch),
            decode: time(Stage::Decode),
            preprocess: time(Stage::Preprocess),
            model: time(Stage::Model),
            model_load: time(Stage::ModelLoad),
            latencies: Stage::ALL.iter().map(|(stage, name)| self.stages[*stage as usize].latency(name)).collect(),
            queues: self.queues.depths(),
        }
    }
}

/// The counters of a run at one moment. Times are summed over all threads of a stage.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct MetricsSnapshot {
    /// Rows that are done, in whatever way.
    pub rows: u64,
    /// Rows that have a vector.
    pub embedded: u64,
    /// Rows that came without an image.
    pub nulls: u64,
    /// Rows that failed, by kind.
    pub errors: BTreeMap<ErrorKind, u64>,
    /// Bytes of encoded images that were read from files and by address.
    pub bytes_read: u64,
    /// Images that came by address.
    pub fetched: u64,
    /// Tries to fetch an image that were repeated after a temporary failure.
    pub fetch_retries: u64,
    /// Calls of the model.
    pub batches: u64,
    /// Calls that were repeated after a temporary failure.
    pub retries: u64,
    /// Batches that were halved because memory ran out.
    pub halvings: u64,
    /// Of the rows that have a vector, those that were not embedded because an earlier row has the same image.
    pub copies: u64,
    /// Of the rows that have a vector, those whose vector was in the cache.
    pub cached: u64,
    /// Why vectors of this run are not in the cache, if something went wrong.
    pub cache_failure: Option<String>,
    /// What the model's service was asked for by this run; nothing, for local models.
    pub service: Usage,
    /// What the loaded model computes in, where it says so; it is the choice of `dtype = auto`.
    pub dtype: Option<Dtype>,
    /// Reading files.
    pub read: Duration,
    /// Waiting for images by address; not among what `read` counts.
    pub fetch: Duration,
    /// Decoding and orienting.
    pub decode: Duration,
    /// Converting, resizing and cropping.
    pub preprocess: Duration,
    /// The model's forward passes, or waiting for a service.
    pub model: Duration,
    /// Loading weights.
    pub model_load: Duration,
    /// How long the single steps of each stage took; not serialised.
    pub latencies: Vec<Latency>,
    /// What waits between the stages; not serialised.
    pub queues: QueueDepths,
}

impl Serialize for MetricsSnapshot {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rows", &self.rows)?;
        map.serialize_entry("embedded", &self.embedded)?;
        map.serialize_entry("nulls", &self.nulls)?;
        let errors: BTreeMap<&str, u64> = self.errors.iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
        map.serialize_entry("errors", &errors)?;
        map.serialize_entry("bytes_read", &self.bytes_read)?;
        map.serialize_entry("fetched", &self.fetched)?;
        map.serialize_entry("fetch_retries", &self.fetch_retries)?;
        map.serialize_entry("batches", &self.batches)?;
        map.serialize_entry("retries", &self.retries)?;
        map.serialize_entry("halvings", &self.halvings)?;
        if let Some(dtype) = self.dtype {
            map.serialize_entry("dtype", &dtype)?;
        }
        map.serialize_entry("copies", &self.copies)?;
        map.serialize_entry("cached", &self.cached)?;
        if let Some(why) = &self.cache_failure {
            map.serialize_entry("cache_failure", why)?;
        }
        if self.service != Usage::default() {
            map.serialize_entry("service_requests", &self.service.requests)?;
            map.serialize_entry("service_retries", &self.service.retries)?;
            map.serialize_entry("service_tokens", &self.service.tokens)?;
            map.serialize_entry("service_bytes_sent", &self.service.bytes_sent)?;
        }
        for (name, time) in [
            ("read_seconds", self.read),
            ("fetch_seconds", self.fetch),
            ("decode_seconds", self.decode),
            ("preprocess_seconds", self.preprocess),
            ("model_seconds", self.model),
            ("model_load_seconds", self.model_load),
        ] {
            map.serialize_entry(name, &time.as_secs_f64())?;
        }
        map.end()
    }
}

impl MetricsSnapshot {
    /// Rows that failed, of every kind.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}
