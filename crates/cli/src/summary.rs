//! What a run did, for people and for programs.

use std::{collections::BTreeMap, fmt, time::Duration};

use imbed::{core::ErrorKind, engine::MetricsSnapshot};
use serde_json::{Value, json};

use crate::{
    show,
    sink::{Written, parts::Counts},
    source::Skipped,
};

/// Failed rows that are quoted.
pub(crate) const EXAMPLES: usize = 5;

/// The account of one run of `imbed embed`.
pub(crate) struct Summary {
    /// The engine's counters and times.
    pub(crate) metrics: MetricsSnapshot,
    /// Rows that were in the output before.
    pub(crate) kept: Counts,
    /// Parts that the output was made of; `None` where it was written in one go.
    pub(crate) parts: Option<usize>,
    /// The first failed rows, with their reasons.
    pub(crate) examples: Vec<String>,
    /// Files of folders that were passed over.
    pub(crate) skipped: Skipped,
    /// From the start of reading to the last byte written.
    pub(crate) elapsed: Duration,
    /// Of that, writing.
    pub(crate) write: Duration,
    /// The provider that ran the model.
    pub(crate) provider: String,
    /// The model.
    pub(crate) model: String,
    /// Numbers per vector.
    pub(crate) dimensions: usize,
    /// The files that were written.
    pub(crate) outputs: Vec<Written>,
}

impl Summary {
    fn images_per_second(&self) -> f64 {
        let seconds = self.elapsed.saturating_sub(self.metrics.model_load).as_secs_f64();
        if seconds > 0.0 { self.metrics.embedded as f64 / seconds } else { 0.0 }
    }

    /// Rows of the output that failed, in this run or before.
    pub(crate) fn failed(&self) -> u64 {
        self.errors().values().sum()
    }

    fn errors(&self) -> BTreeMap<ErrorKind, u64> {
        let mut errors = self.metrics.errors.clone();
        for (kind, n) in &self.kept.failed {
            *errors.entry(*kind).or_default() += n;
        }
        errors
    }

    fn rows(&self) -> u64 {
        self.metrics.rows + self.kept.rows
    }

    fn nulls(&self) -> u64 {
        self.metrics.nulls + self.kept.nulls
    }

    /// Rows of the output that have a vector.
    fn embedded(&self) -> u64 {
        self.rows() - self.nulls() - self.failed()
    }

    /// The stages with their times, summed over threads, in the order of the work.
    fn stages(&self) -> [(&'static str, Duration); 6] {
        let m = &self.metrics;
        [
            ("read", m.read),
            ("fetch", m.fetch),
            ("decode", m.decode),
            ("preprocess", m.preprocess),
            ("model", m.model),
            ("write", self.write),
        ]
    }

    /// The end of the run, as an event.
    pub(crate) fn log(&self) {
        let m = &self.metrics;
        tracing::info!(
            rows = m.rows,
            embedded = m.embedded,
            nulls = m.nulls,
            failed = m.failed(),
            bytes_read = m.bytes_read,
            seconds = self.elapsed.as_secs_f64(),
            "gen_ai.provider.name" = self.provider,
            "gen_ai.request.model" = self.model,
            "the run has ended"
        );
    }

    /// One object with stable keys.
    pub(crate) fn to_json(&self) -> Value {
        let errors: serde_json::Map<String, Value> =
            self.errors().iter().map(|(kind, n)| (kind.as_str().to_owned(), json!(n))).collect();
        let mut stages: serde_json::Map<String, Value> = self
            .stages()
            .into_iter()
            .map(|(name, time)| (format!("{name}_seconds"), json!(time.as_secs_f64())))
            .collect();
        stages.insert("model_load_seconds".to_owned(), json!(self.metrics.model_load.as_secs_f64()));
        let outputs: Vec<Value> = self.outputs.iter().map(|o| json!({ "path": o.path, "bytes": o.bytes })).collect();
        json!({
            "rows": self.rows(),
            "embedded": self.embedded(),
            "nulls": self.nulls(),
            "failed": self.failed(),
            "resumed": self.kept.rows,
            "parts": self.parts,
            "errors": errors,
            "error_examples": self.examples,
            "skipped_files": { "total": self.skipped.values().sum::<u64>(), "by_extension": self.skipped },
            "seconds": self.elapsed.as_secs_f64(),
            "images_per_second": self.images_per_second(),
            "stages": stages,
            "bytes_read": self.metrics.bytes_read,
            "fetched": self.metrics.fetched,
            "fetch_retries": self.metrics.fetch_retries,
            "batches": self.metrics.batches,
            "retries": self.metrics.retries,
            "halvings": self.metrics.halvings,
            "copies": self.metrics.copies,
            "cached": self.metrics.cached,
            "cache_failure": self.metrics.cache_failure,
            "service": {
                "requests": self.metrics.service.requests,
                "retries": self.metrics.service.retries,
                "tokens": self.metrics.service.tokens,
                "bytes_sent": self.metrics.service.bytes_sent,
            },
            "provider": self.provider,
            "model": self.model,
            "dimensions": self.dimensions,
            "dtype": self.metrics.dtype,
            "outputs": outputs,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = &self.metrics;
        write!(f, "rows      {}, {} embedded", show::thousands(self.rows()), show::thousands(self.embedded()))?;
        if self.nulls() > 0 {
            write!(f, ", {} without an image", show::thousands(self.nulls()))?;
        }
        writeln!(f)?;
        if self.kept.rows > 0 {
            let new = show::count(m.rows, "row");
            writeln!(f, "resumed   {} kept from before, {new} done now", show::count(self.kept.rows, "row"))?;
        }
        if m.copies + m.cached > 0 {
            let copies = (m.copies > 0).then(|| format!("{} identical to an earlier row", show::thousands(m.copies)));
            let cached = (m.cached > 0).then(|| format!("{} from the cache", show::thousands(m.cached)));
            let both: Vec<String> = copies.into_iter().chain(cached).collect();
            writeln!(f, "saved     {}", both.join(", "))?;
        }
        if let Some(why) = &m.cache_failure {
            writeln!(f, "cache     {why}")?;
        }
        if self.failed() > 0 {
            let kinds: Vec<String> =
                self.errors().iter().map(|(kind, n)| format!("{kind} {}", show::thousands(*n))).collect();
            writeln!(f, "failed    {}, null in the output ({})", show::count(self.failed(), "row"), kinds.join(", "))?;
            for example in &self.examples {
                writeln!(f, "            {example}")?;
            }
            let more = self.failed().saturating_sub(self.examples.len() as u64);
            if more > 0 && !self.examples.is_empty() {
                writeln!(f, "            and {} more", show::thousands(more))?;
            }
        }
        if !self.skipped.is_empty() {
            let kinds: Vec<String> =
                self.skipped.iter().map(|(kind, n)| format!("{} {kind}", show::thousands(*n))).collect();
            let all = show::count(self.skipped.values().sum(), "file");
            writeln!(f, "skipped   {all} not named as images ({})", kinds.join(", "))?;
        }
        if m.fetched + m.fetch_retries > 0 {
            let each = m.fetch.div_f64(m.fetched.max(1) as f64);
            let (images, again) = (show::count(m.fetched, "image"), show::thousands(m.fetch_retries));
            writeln!(f, "fetched   {images} by address, {} each; {again} tries repeated", show::time(each))?;
        }
        let load = show::time(m.model_load);
        writeln!(
            f,
            "speed     {:.1} images/s, {} in all, of which loading the model {load}",
            self.images_per_second(),
            show::time(self.elapsed)
        )?;
        // Waiting for servers is no work, and shared with none.
        let stages = self.stages().into_iter().filter(|(name, _)| *name != "fetch");
        let stages: Vec<(&str, Duration)> = stages.collect();
        let sum: Duration = stages.iter().map(|(_, time)| *time).sum();
        let share = |time: Duration| 100.0 * time.as_secs_f64() / sum.as_secs_f64().max(f64::MIN_POSITIVE);
        let shares: Vec<String> = stages.iter().map(|(name, time)| format!("{name} {:.0}%", share(*time))).collect();
        writeln!(f, "time      {} (of {} summed over threads)", shares.join(", "), show::time(sum))?;
        write!(f, "model     {} ({}), {} dimensions", self.model, self.provider, self.dimensions)?;
        if let Some(dtype) = m.dtype {
            write!(f, ", computed in {dtype}")?;
        }
        if m.service.requests > 0 {
            let (requests, sent) = (show::count(m.service.requests, "request"), show::bytes(m.service.bytes_sent));
            write!(f, "\nservice   {requests}, {} of them repeated, {sent} sent", show::thousands(m.service.retries))?;
            if m.service.tokens > 0 {
                write!(f, ", {} counted by the service", show::count(m.service.tokens, "token"))?;
            }
        }
        for output in self.outputs.iter().filter(|o| o.path.as_os_str() != "-") {
            write!(f, "\noutput    {}, {}", output.path.display(), show::bytes(output.bytes))?;
        }
        Ok(())
    }
}
