//! One thing that every provider must do.

use std::fmt;

use imbed_core::Error;

use crate::bench::Bench;

/// A behaviour: its name, what it promises to users, when it does not apply, and how it is tested.
#[derive(Debug)]
pub struct Behaviour {
    /// In reports and filters, such as `batch-sizes`.
    pub name: &'static str,
    /// What users may rely on.
    pub promise: &'static str,
    /// Why it does not apply to this model, if so: read from what the provider says of itself, never from its name.
    pub(crate) cannot: fn(&Bench) -> Option<String>,
    pub(crate) check: fn(&Bench) -> Check,
}

/// What came of one behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The promise is kept.
    Passed,
    /// It does not apply, for this reason.
    Cannot(String),
    /// It is broken: how.
    Failed(String),
}

impl Behaviour {
    /// Tests it. A panic of the provider is a failure.
    pub(crate) fn judge(&self, bench: &Bench) -> Verdict {
        if let Some(reason) = (self.cannot)(bench) {
            return Verdict::Cannot(reason);
        }
        let run = std::panic::AssertUnwindSafe(|| (self.check)(bench));
        match std::panic::catch_unwind(run) {
            Ok(Ok(())) => Verdict::Passed,
            Ok(Err(failure)) => Verdict::Failed(failure.0),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(ToString::to_string);
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                Verdict::Failed(format!("it panicked: {text}"))
            }
        }
    }
}

/// What a behaviour's test gives back.
pub(crate) type Check = Result<(), Failure>;

/// How a promise was broken.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    /// Puts what was going on in front.
    pub(crate) fn during(self, what: impl fmt::Display) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(format!("{}: {error}", error.kind()))
    }
}

/// Fails with a formatted message unless `condition` holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        let holds: bool = $condition;
        if !holds {
            return Err($crate::behaviour::Failure(format!($($message)+)));
        }
    };
}

pub(crate) use ensure;
