//! Events of all crates of imbed on stderr, for people or for programs.
//!
//! Off unless asked for. Only imbed's own events are written: those of the libraries beneath may repeat addresses and headers. In JSON,
//! stderr holds nothing else: what is otherwise said to people is an event there ([`is_json`]).

use std::{
    io::{self, Write},
    sync::OnceLock,
};

use imbed::core::{Error, ErrorKind, Result};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::{self, MakeWriter, format::FmtSpan},
    layer::SubscriberExt,
};

use crate::{
    args::{LogArgs, LogFormat, LogLevel},
    progress,
};

/// What is logged, once that is settled.
#[derive(Debug, Clone, Copy)]
struct Settings {
    level: LogLevel,
    json: bool,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// Logs from here on what the user asked for.
pub(crate) fn start(args: &LogArgs) -> Result<()> {
    let usual = if args.log_format.is_some() { LogLevel::Info } else { LogLevel::Off };
    let level = args.log_level.unwrap_or(usual);
    let json = args.log_format == Some(LogFormat::Json);
    if SETTINGS.set(Settings { level, json }).is_err() || level == LogLevel::Off {
        return Ok(());
    }
    // Durations come with the end of a span, whose fields OpenTelemetry names.
    let spans = FmtSpan::CLOSE;
    let layer = fmt::layer().with_writer(Stderr).with_ansi(false).with_span_events(spans);
    let layer = if json { layer.json().boxed() } else { layer.boxed() };
    let ours = Targets::new().with_target("imbed", filter(level));
    tracing::subscriber::set_global_default(Registry::default().with(layer.with_filter(ours)))
        .map_err(|e| Error::new(ErrorKind::Internal, format!("events cannot be logged: {e}")).source(e))
}

/// Whether stderr is for programs.
pub(crate) fn is_json() -> bool {
    SETTINGS.get().is_some_and(|settings| settings.json)
}

/// Whether events of this level are logged, and need not be printed too.
pub(crate) fn writes(level: LogLevel) -> bool {
    SETTINGS.get().is_some_and(|settings| settings.level >= level)
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// Standard error, above the progress bar. Each event is one write.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::above(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}
