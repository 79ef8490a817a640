//! Rows that failed and were to be logged, on stderr as they happen.

use std::fmt::{Debug, Write};

use console::style;
use imbed::core::{Error, ErrorKind, Result};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Prints warnings from here on, unless `quiet`.
pub(in crate::commands) fn print(quiet: bool) -> Result<()> {
    if quiet {
        return Ok(());
    }
    tracing::subscriber::set_global_default(Warnings)
        .map_err(|e| Error::new(ErrorKind::Internal, format!("warnings cannot be printed: {e}")).source(e))
}

struct Warnings;

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
        eprintln!("{} {}", style("warning:").for_stderr().yellow().bold(), message.0);
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
