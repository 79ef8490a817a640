//! Why a JPEG is not decoded, before it is put into words for the user.

use super::super::task::Task;

/// Why decoding stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The file ends within a segment, or before its first scan.
    Truncated,
    /// The file contradicts the format: what, and where.
    Damaged(String),
    /// A variant that is not decoded, by name.
    Unsupported(String),
    /// The time for the picture is over.
    Late,
}

pub(crate) type Result<T, E = Refusal> = std::result::Result<T, E>;

/// Damage at byte `at` of the file.
pub(crate) fn damaged<T>(at: usize, what: impl std::fmt::Display) -> Result<T> {
    Err(Refusal::Damaged(format!("{what} (at byte {at})")))
}

/// Nothing, as long as there is time.
pub(crate) fn in_time(task: &Task) -> Result<()> {
    if task.is_late() { Err(Refusal::Late) } else { Ok(()) }
}

pub(crate) fn unsupported<T>(what: impl Into<String>) -> Result<T> {
    Err(Refusal::Unsupported(what.into()))
}
