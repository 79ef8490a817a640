//! Panics that the pipeline catches are reported as errors of their row, so the usual trace on stderr would only be noise.

use std::{env, panic, thread};

/// The engine names its threads so.
const PIPELINE: &str = "imbed-";

/// Prints no trace for panics on the pipeline's threads, unless `RUST_BACKTRACE` asks for one.
pub(crate) fn quieten_pipeline() {
    if env::var_os("RUST_BACKTRACE").is_some() {
        return;
    }
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !thread::current().name().is_some_and(|name| name.starts_with(PIPELINE)) {
            usual(info);
        }
    }));
}
