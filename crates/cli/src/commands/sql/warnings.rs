//! Rows that failed and were to be logged, on stderr as they happen.

use std::{
    fmt::{Debug, Write},
    sync::Arc,
};

use console::style;
use imbed::core::{Error, ErrorKind, Result};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::{args::LogLevel, logs, progress::Progress};

/// Prints warnings from here on, above what `progress` shows.
pub(in crate::commands) fn print(progress: Arc<Progress>) -> Result<()> {
    if logs::writes(LogLevel::Error) {
        // They are logged already.
        return Ok(());
    }
    tracing::subscriber::set_global_default(Warnings(progress))
        .map_err(|e| Error::new(ErrorKind::Internal, format!("warnings cannot be printed: {e}")).source(e))
}

struct Warnings(Arc<Progress>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("imbed")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.line(&format!("{} {}", style("warning:").for_stderr().yellow().bold(), message.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The text of an event.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Writing to a string does not fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
