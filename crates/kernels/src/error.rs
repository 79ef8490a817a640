//! What can be wrong with an argument.

use std::fmt;

/// An argument that does not fit. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A slice has another length than its shape says.
    Length {
        /// What the slice is.
        what: &'static str,
        /// How many values were expected.
        expected: usize,
        /// How many there are.
        actual: usize,
    },
    /// A size that must not be zero is, or sizes that must divide each other do not.
    Size {
        /// What is wrong, as a sentence's end: "the inputs are zero".
        what: &'static str,
    },
    /// `IMBED_CPU` names no level.
    UnknownLevel {
        /// What it says.
        value: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { what, expected, actual } => write!(f, "{what}: {expected} values expected, got {actual}"),
            Self::Size { what } => f.write_str(what),
            Self::UnknownLevel { value } => {
                write!(f, "IMBED_CPU is {value:?}, expected one of: ")?;
                for (i, level) in crate::Level::ALL.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { ", " }, level.name())?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for Error {}

/// An error unless a slice has the length that its shape says.
pub(crate) fn check_length(what: &'static str, expected: usize, actual: usize) -> Result<(), Error> {
    if expected == actual { Ok(()) } else { Err(Error::Length { what, expected, actual }) }
}

/// An error unless it holds.
pub(crate) fn check(holds: bool, what: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Size { what }) }
}
