//! How the program ends: exit codes and the last message.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | all well |
//! | 1 | some rows failed and were kept as null; or the answer is no: not comparable, not whole |
//! | 2 | usage: refused before any work |
//! | 3 | the work failed; there is no output, or parts of one with which a later run can go on |
//! | 130 | stopped by the user; the same |

use std::process::ExitCode;

use console::style;
use imbed::core::{Error, ErrorKind};

use crate::{args::LogLevel, logs};

/// The exit code after Ctrl-C, as shells have it: 128 + SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// A command that did its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Success {
    /// Nothing to remark.
    Whole,
    /// Some rows are null because they failed.
    WithFailedRows,
    /// The answer to the question is no: files that cannot be compared, a model that is not whole.
    No,
}

/// A command that did not.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for cannot be done as it was asked; nothing has been done.
    Usage(Error),
    /// The work failed.
    Fatal(Error),
    /// The user stopped it.
    Interrupted,
    /// The user stopped it, and something is kept: what, and how to go on.
    Stopped(String),
    /// Whoever read our standard output has gone, which is no failure of ours (`imbed … | head`).
    ReaderGone,
}

/// How a command ends.
pub(crate) type Outcome = Result<Success, Failure>;

/// Says which sort of failure an error is, by when it happened.
pub(crate) trait Blame<T> {
    /// Before the work: the user can ask differently.
    fn usage(self) -> Result<T, Failure>;
    /// During the work.
    fn fatal(self) -> Result<T, Failure>;
    /// While a model was fetched: a name that is wrong is the user's to mend, all else is a failure.
    fn fetched(self) -> Result<T, Failure>;
    /// While inputs and outputs were looked at: a store that does not answer for the moment is a failure, all else is the user's to
    /// mend.
    fn opened(self) -> Result<T, Failure>;
}

impl<T> Blame<T> for Result<T, Error> {
    fn usage(self) -> Result<T, Failure> {
        self.map_err(Failure::Usage)
    }

    fn fatal(self) -> Result<T, Failure> {
        self.map_err(|error| match error.kind() {
            ErrorKind::Cancelled => Failure::Interrupted,
            _ if reader_is_gone(&error) => Failure::ReaderGone,
            _ => Failure::Fatal(error),
        })
    }

    fn fetched(self) -> Result<T, Failure> {
        match &self {
            Err(error) if matches!(error.kind(), ErrorKind::Request | ErrorKind::RateLimited | ErrorKind::Io) => {
                self.fatal()
            }
            _ => self.usage(),
        }
    }

    fn opened(self) -> Result<T, Failure> {
        if self.as_ref().is_err_and(Error::is_temporary) { self.fatal() } else { self.usage() }
    }
}

/// Prints what went wrong to stderr and gives the exit code.
pub(crate) fn finish(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(Success::Whole) | Err(Failure::ReaderGone) => ExitCode::SUCCESS,
        Ok(Success::WithFailedRows | Success::No) => ExitCode::from(1),
        Err(Failure::Usage(error)) => {
            print(&error);
            ExitCode::from(2)
        }
        Err(Failure::Fatal(error)) => {
            print(&error);
            ExitCode::from(3)
        }
        Err(Failure::Stopped(how_to_go_on)) if logs::is_json() => {
            tracing::warn!("stopped; {}", how_to_go_on.replace('\n', " "));
            ExitCode::from(INTERRUPTED)
        }
        Err(Failure::Stopped(how_to_go_on)) => {
            let mut lines = how_to_go_on.lines();
            let first = lines.next().unwrap_or_default();
            eprintln!("{} stopped; {first}", style("imbed:").for_stderr().bold());
            lines.for_each(|line| eprintln!("  {line}"));
            ExitCode::from(INTERRUPTED)
        }
        Err(Failure::Interrupted) if logs::is_json() => {
            tracing::warn!("stopped; nothing was written");
            ExitCode::from(INTERRUPTED)
        }
        Err(Failure::Interrupted) => {
            eprintln!("{} stopped; nothing was written", style("imbed:").for_stderr().bold());
            ExitCode::from(INTERRUPTED)
        }
    }
}

fn print(error: &Error) {
    if logs::is_json() && logs::writes(LogLevel::Error) {
        tracing::error!("error.type" = error.kind().as_str(), hint = error.hint_text(), "{}", error.message());
        return;
    }
    eprintln!("{} {}", style("error:").for_stderr().red().bold(), error.message());
    for line in error.hint_text().unwrap_or_default().lines() {
        eprintln!("  {line}");
    }
}

/// Whether `error` comes from a pipe that nobody reads any more.
fn reader_is_gone(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        if current.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) {
            return true;
        }
        cause = current.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_does_not_answer_is_no_mistake_of_the_users() {
        let error = |temporary| Err::<(), _>(Error::new(ErrorKind::Request, "s3://b/").temporary(temporary));
        assert!(matches!(error(true).opened(), Err(Failure::Fatal(_))));
        assert!(matches!(error(false).opened(), Err(Failure::Usage(_))));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let pipe = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(matches!(Err::<(), _>(Error::io("stdout", pipe)).fatal(), Err(Failure::ReaderGone)));
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(matches!(Err::<(), _>(Error::io("stdout", full)).fatal(), Err(Failure::Fatal(_))));
    }
}
