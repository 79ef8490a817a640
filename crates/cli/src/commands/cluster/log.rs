//! What the processes of a cluster tell, on stderr.

use console::style;
use imbed::core::{Error, ErrorKind, Result};
use log::{Level, LevelFilter, Log, Metadata, Record};

/// Prints warnings and errors from here on, and what is done too if `verbose`.
pub(super) fn print(verbose: bool) -> Result<()> {
    log::set_logger(&Lines).map_err(|e| Error::new(ErrorKind::Internal, format!("messages cannot be printed: {e}")))?;
    log::set_max_level(if verbose { LevelFilter::Info } else { LevelFilter::Warn });
    Ok(())
}

struct Lines;

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("ballista")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => style("error:").for_stderr().red().bold(),
            Level::Warn => style("warning:").for_stderr().yellow().bold(),
            Level::Info | Level::Debug | Level::Trace => style("info:").for_stderr().dim(),
        };
        eprintln!("{level} {}", record.args());
    }

    fn flush(&self) {}
}
