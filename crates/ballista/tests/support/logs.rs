//! What the processes of a cluster say of their work, on stderr: as much as `imbed cluster … --verbose --log-level trace` does.

use tracing_subscriber::{Layer, Registry, filter::Targets, fmt::format::FmtSpan, layer::SubscriberExt};

pub(crate) fn start() {
    let spans = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_span_events(FmtSpan::CLOSE);
    let ours = Targets::new().with_target("imbed", tracing::Level::TRACE);
    tracing::subscriber::set_global_default(Registry::default().with(spans.with_filter(ours))).unwrap();
    log::set_logger(&Lines).unwrap();
    log::set_max_level(log::LevelFilter::Info);
}

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.target().starts_with("ballista")
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("{} {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}
