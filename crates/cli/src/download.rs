//! What a user sees of a download: one line that says it begins and how to avoid it, and a bar on a terminal.

use std::time::Duration;

use console::{Term, style};
use imbed::core::{FetchProgress, fetch::Download};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{logs, show};

const TEMPLATE: &str = "{bar:30.green/dim} {decimal_bytes}/{decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left";

/// A download of less is over before anybody has read of it.
const SMALL: u64 = 1 << 20;

/// Tells of downloads on stderr.
pub(crate) struct Downloads {
    waits: Waits,
    /// Downloads of fewer bytes are not told of.
    least: u64,
    draws: bool,
    bar: ProgressBar,
    any: bool,
}

impl Downloads {
    /// Says nothing if `quiet`, and draws no bar for a program that reads `json`.
    pub(crate) fn new(quiet: bool, json: bool) -> Self {
        let draws = !quiet && !json && !logs::is_json() && Term::stderr().is_term();
        Self { waits: Waits::new(quiet), least: 0, draws, bar: ProgressBar::hidden(), any: false }
    }

    /// For what a plan is made from, which is usually small and then not worth a line.
    pub(crate) fn of_configuration(quiet: bool, json: bool) -> Self {
        let mut downloads = Self::new(quiet, json);
        downloads.least = SMALL;
        downloads
    }

    /// Whether something was downloaded that was worth telling of.
    pub(crate) fn any(&self) -> bool {
        self.any
    }
}

/// Tells of waits.
struct Waits {
    quiet: bool,
    /// What was said last, and is not said twice in a row.
    last: String,
}

impl Waits {
    /// Says nothing at all if `quiet`.
    fn new(quiet: bool) -> Self {
        Self { quiet, last: String::new() }
    }

    fn waiting(&mut self, why: &str) {
        if logs::is_json() {
            tracing::warn!("waiting: {why}");
        } else if !self.quiet && self.last != why {
            eprintln!("{} {why}", style("waiting:").for_stderr().yellow().bold());
            why.clone_into(&mut self.last);
        }
    }
}

impl FetchProgress for Downloads {
    fn begin(&mut self, download: &Download) {
        if download.bytes < self.least {
            return;
        }
        let Download { model, from, files, bytes } = download;
        if logs::is_json() {
            tracing::info!("gen_ai.request.model" = model, "server.address" = from, files, bytes, "downloading");
        } else if !self.waits.quiet && !self.any {
            let (files, bytes) = (show::count(*files as u64, "file"), show::bytes(*bytes));
            eprintln!(
                "downloading {model} from {from} ({files}, {bytes}); --offline or HF_HUB_OFFLINE=1 forbids downloads"
            );
        }
        self.any = true;
        if self.draws {
            self.bar = ProgressBar::with_draw_target(Some(download.bytes), ProgressDrawTarget::stderr_with_hz(5));
            // The template is a constant, and a test parses it.
            if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                self.bar.set_style(style.progress_chars("━━─"));
            }
            self.bar.enable_steady_tick(Duration::from_millis(200));
        }
    }

    fn position(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
    }

    fn waiting(&mut self, why: &str) {
        let Self { waits, bar, .. } = self;
        bar.suspend(|| waits.waiting(why));
    }

    fn finish(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Downloads {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_can_be_read() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
