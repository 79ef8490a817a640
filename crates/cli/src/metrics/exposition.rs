//! Counters in Prometheus' text format.

use std::{
    collections::BTreeSet,
    fmt::{Display, Write},
};

use imbed::engine::MetricsSnapshot;

use super::Run;

/// Everything that is known of `run`; of the program alone, before there is one.
pub(super) fn text(run: Option<&Run>) -> String {
    let mut page = Page(String::new());
    page.family("imbed_build_info", "gauge", "The program.");
    page.sample("imbed_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    if let Some(run) = run {
        page.run(run);
    }
    page.0
}

struct Page(String);

impl Page {
    fn run(&mut self, run: &Run) {
        let models = (run.models)();
        let workers: usize = models.iter().map(|model| model.workers).sum();
        let mut now = MetricsSnapshot::default();
        for model in &models {
            now += &model.now;
        }
        self.family("imbed_run_info", "gauge", "What runs.");
        // One model may be there with several options.
        let names: BTreeSet<_> = models.iter().map(|it| (it.provider.as_str(), it.name.as_str())).collect();
        for (provider, model) in names {
            self.sample("imbed_run_info", &[("provider", provider), ("model", model)], 1);
        }
        self.one("imbed_run_seconds", "gauge", "Time since the run began.", run.started.elapsed().as_secs_f64());
        if let Some(total) = run.total {
            self.one("imbed_rows_expected", "gauge", "Rows of the whole input.", total);
        }
        self.family("imbed_rows_total", "counter", "Rows that are done.");
        for (outcome, rows) in [("embedded", now.embedded), ("null", now.nulls), ("failed", now.failed())] {
            self.sample("imbed_rows_total", &[("outcome", outcome)], rows);
        }
        self.family("imbed_row_errors_total", "counter", "Rows that failed, by kind.");
        for (kind, rows) in &now.errors {
            self.sample("imbed_row_errors_total", &[("kind", kind.as_str())], rows);
        }
        for (name, help, value) in [
            ("imbed_rows_copied_total", "Embedded rows that have the vector of an earlier row.", now.copies),
            ("imbed_rows_cached_total", "Embedded rows whose vector was in the cache.", now.cached),
            ("imbed_read_bytes_total", "Bytes of encoded images read from files and by address.", now.bytes_read),
            ("imbed_fetched_images_total", "Images that came by address.", now.fetched),
            ("imbed_fetch_retries_total", "Fetches that were tried again.", now.fetch_retries),
            ("imbed_batches_total", "Calls of the model.", now.batches),
            ("imbed_model_retries_total", "Calls of the model that were repeated.", now.retries),
            ("imbed_batch_halvings_total", "Batches halved because memory ran out.", now.halvings),
            ("imbed_service_requests_total", "Requests to the model's service.", now.service.requests),
            ("imbed_service_retries_total", "Requests to it that were repeated.", now.service.retries),
            ("imbed_service_sent_bytes_total", "Bytes sent to it.", now.service.bytes_sent),
        ] {
            self.one(name, "counter", help, value);
        }
        self.latencies(&now);
        self.family("imbed_queue_depth", "gauge", "What waits for a stage: rows, and batches for the model.");
        let queues = &now.queues;
        for (queue, depth) in
            [("fetch", queues.fetch), ("prepare", queues.prepare), ("batch", queues.batch), ("model", queues.model)]
        {
            self.sample("imbed_queue_depth", &[("queue", queue)], depth);
        }
        self.one(
            "imbed_waiting_bytes",
            "gauge",
            "Bytes of input and of prepared pixels under way.",
            queues.waiting_bytes,
        );
        self.one("imbed_fetched_bytes", "gauge", "Bytes that came by address and wait.", queues.fetched_bytes);
        self.one("imbed_model_workers", "gauge", "Calls of the model that may go on at once.", workers);
        self.one(
            "imbed_model_busy_seconds_total",
            "counter",
            "Time in calls of the model, over all workers.",
            now.model.as_secs_f64(),
        );
        let possible = (run.started.elapsed().as_secs_f64() - now.model_load.as_secs_f64()) * workers as f64;
        let share = if possible > 0.0 { (now.model.as_secs_f64() / possible).min(1.0) } else { 0.0 };
        self.one(
            "imbed_model_busy_ratio",
            "gauge",
            "Of the time since the model was loaded, that in its calls.",
            share,
        );
    }

    fn latencies(&mut self, now: &MetricsSnapshot) {
        const NAME: &str = "imbed_stage_duration_seconds";
        self.family(NAME, "histogram", "How long the steps of each stage take: one image, or one batch in the model.");
        for latency in &now.latencies {
            let bucket = format!("{NAME}_bucket");
            for (bound, count) in &latency.below {
                self.sample(&bucket, &[("stage", latency.stage), ("le", &bound.as_secs_f64().to_string())], count);
            }
            self.sample(&bucket, &[("stage", latency.stage), ("le", "+Inf")], latency.count);
            self.sample(&format!("{NAME}_sum"), &[("stage", latency.stage)], latency.sum.as_secs_f64());
            self.sample(&format!("{NAME}_count"), &[("stage", latency.stage)], latency.count);
        }
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_samples_are_lines() {
        let mut page = Page(String::new());
        page.family("a", "gauge", "Help.");
        page.sample("a", &[("model", "C:\\\"x\"\n")], 1.5);
        assert_eq!(page.0, "# HELP a Help.\n# TYPE a gauge\na{model=\"C:\\\\\\\"x\\\"\\n\"} 1.5\n");
    }
}
