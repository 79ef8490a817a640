//! Everything that is logged in this process, through `tracing` or `log`, kept to be searched.

use std::{
    fmt::{self, Write},
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

static LINES: Mutex<String> = Mutex::new(String::new());

/// Starts to listen, at every level. The process must have no other listener; calls after the first do nothing.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let traced = tracing::subscriber::set_global_default(Traces { spans: AtomicU64::new(1) }).is_ok();
        let logged = log::set_logger(&Logs).is_ok();
        log::set_max_level(log::LevelFilter::Trace);
        assert!(traced && logged, "the suite reads the log, so nothing else may listen to it in its process");
    });
}

/// Whether anything that was logged contains `text`.
pub(crate) fn contains(text: &str) -> bool {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).contains(text)
}

fn note(line: fmt::Arguments<'_>) {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = writeln!(lines, "{line}");
}

struct Traces {
    spans: AtomicU64,
}

/// Writes every field of an event or a span.
struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Traces {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut fields = String::new();
        span.record(&mut Fields(&mut fields));
        note(format_args!("{}{fields}", span.metadata().name()));
        span::Id::from_u64(self.spans.fetch_add(1, Relaxed))
    }
    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut fields = String::new();
        values.record(&mut Fields(&mut fields));
        note(format_args!("{fields}"));
    }
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = String::new();
        event.record(&mut Fields(&mut fields));
        note(format_args!("{}:{fields}", event.metadata().target()));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Logs;

impl log::Log for Logs {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        note(format_args!("{}: {}", record.target(), record.args()));
    }
    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_spans_and_records_are_kept_with_their_fields() {
        listen();
        let span = tracing::info_span!("request", key = "in-a-span", later = tracing::field::Empty);
        span.record("later", "recorded-later");
        tracing::trace!(token = "in-an-event", "sent");
        log::debug!("in-a-log-record");
        for text in ["in-a-span", "recorded-later", "in-an-event", "in-a-log-record"] {
            assert!(contains(text), "{text}");
        }
        assert!(!contains("never-logged"));
    }
}
