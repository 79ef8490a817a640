//! Panics that are caught become errors of a row or a file, so the usual trace on stderr would only be noise.

use std::{
    cell::Cell,
    env,
    panic::{self, AssertUnwindSafe, catch_unwind},
    thread,
};

/// The engine names its threads so.
const PIPELINE: &str = "imbed-";

thread_local! {
    /// Whether this thread is within [`caught`].
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// What `work` gives, or what it panicked with.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> thread::Result<T> {
    let before = CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    result
}

/// Prints no trace for panics on the pipeline's threads and for those that are caught, unless `RUST_BACKTRACE` asks for one.
pub(crate) fn quieten() {
    if env::var_os("RUST_BACKTRACE").is_some() {
        return;
    }
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !CAUGHT.get() && !thread::current().name().is_some_and(|name| name.starts_with(PIPELINE)) {
            usual(info);
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_others_are_not_hushed_by_it() {
        assert!(caught(|| caught(|| panic!("inner")).is_err() && CAUGHT.get()).unwrap());
        assert!(!CAUGHT.get());
    }
}
