//! The progress bar: on a terminal only, and always on stderr.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

const WITH_TOTAL: &str = "{bar:30.green/dim} {human_pos}/{human_len} images  {speed}  {eta} left{msg}";
const WITHOUT_TOTAL: &str = "{spinner} {human_pos} images  {speed}  {elapsed}{msg}";
#[cfg(feature = "cluster")]
const PARTS: &str = "{spinner} {human_pos} of at most {human_len} parts  {elapsed}";

/// The bar that is drawn now, for whoever writes to stderr beside it.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes to stderr by `write`, with the bar out of the way.
pub(crate) fn above<T>(write: impl FnOnce() -> T) -> T {
    let bar = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Rows done, speed, time left and errors so far. Copies are the same bar, which the first that is dropped takes away.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over `total` rows, or a spinner where the number is not known. Drawn only if `wanted` and stderr is a terminal.
    pub(crate) fn new(total: Option<u64>, wanted: bool) -> Self {
        let progress = Self::still(total, wanted);
        progress.bar.enable_steady_tick(Duration::from_millis(200));
        progress
    }

    /// One that is drawn when it is [set](Self::set), and at no other time.
    fn still(total: Option<u64>, wanted: bool) -> Self {
        if !is_drawn(wanted) {
            return Self { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(5));
        let template = if total.is_some() { WITH_TOTAL } else { WITHOUT_TOTAL };
        Self::drawn(bar, template)
    }

    /// A spinner of the parts of an output that others write, at most `total`.
    #[cfg(feature = "cluster")]
    pub(crate) fn of_parts(total: u64, wanted: bool) -> Self {
        if !is_drawn(wanted) {
            return Self { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
        let progress = Self::drawn(bar, PARTS);
        progress.bar.enable_steady_tick(Duration::from_millis(200));
        progress
    }

    fn drawn(bar: ProgressBar, template: &str) -> Self {
        let speed = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // Where this cannot be written there is nothing to see anyway.
            let _ = write!(out, "{:.1} images/s", state.per_sec());
        };
        // The templates are constants, and a test parses them.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("speed", speed).progress_chars("━━─"));
        }
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Self { bar }
    }

    /// A spinner that is not seen before the first [`set`](Self::set), nor between [`finish`](Self::finish) and the next.
    #[cfg(feature = "sql")]
    pub(crate) fn unseen(wanted: bool) -> Self {
        let progress = Self::still(None, wanted);
        progress.finish();
        progress
    }

    /// `rows` are done, of which `failed` failed.
    pub(crate) fn set(&self, rows: u64, failed: u64) {
        if self.bar.is_finished() {
            self.bar.reset();
        }
        self.bar.set_position(rows);
        if failed > 0 {
            self.bar.set_message(format!("  {}", crate::show::count(failed, "error")));
        }
    }

    /// Whether anybody sees it.
    #[cfg(feature = "cluster")]
    pub(crate) fn is_seen(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Prints a line on stderr, above the bar.
    pub(crate) fn line(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn is_drawn(wanted: bool) -> bool {
    wanted && !crate::logs::is_json() && Term::stderr().is_term()
}

impl Drop for Progress {
    fn drop(&mut self) {
        *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_can_be_read() {
        assert!(ProgressStyle::with_template(WITH_TOTAL).is_ok());
        assert!(ProgressStyle::with_template(WITHOUT_TOTAL).is_ok());
        #[cfg(feature = "cluster")]
        assert!(ProgressStyle::with_template(PARTS).is_ok());
    }
}
