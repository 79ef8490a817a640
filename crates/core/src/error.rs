//! One error type for the whole project: what failed, why, and what to do about it.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// `Result` with imbed's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure an [`Error`] is, for callers that act on it and for counting.
///
/// The name printed by `Display` is stable: summaries, the `error` column and scripts use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// No linked provider has this name or alias.
    UnknownProvider,
    /// The provider does not know this model, or the path is not a model.
    UnknownModel,
    /// An option's name or value is not acceptable.
    BadOption,
    /// A configuration file or environment variable cannot be used.
    Config,
    /// The input as a whole cannot be used: no such column, an unsupported type.
    BadInput,
    /// Bytes that are not a whole, valid image.
    Decode,
    /// An image format or variant that this build does not decode.
    Unsupported,
    /// A safety limit (pixels, sides, bytes, allocation) would be exceeded.
    Limit,
    /// Vectors or checkpoints whose shape is not what was promised.
    Dimensions,
    /// A device that is missing or cannot be used.
    Device,
    /// A device or the machine ran out of memory.
    OutOfMemory,
    /// The model's files or its forward pass.
    Model,
    /// A remote request that failed for good.
    Request,
    /// A remote service asked to slow down.
    RateLimited,
    /// Reading or writing files.
    Io,
    /// The caller asked to stop.
    Cancelled,
    /// A bug: a panic that was caught, an invariant that did not hold.
    Internal,
}

impl ErrorKind {
    /// The stable, lower-case name, such as `unknown provider`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownProvider => "unknown provider",
            Self::UnknownModel => "unknown model",
            Self::BadOption => "bad option",
            Self::Config => "config",
            Self::BadInput => "bad input",
            Self::Decode => "decode",
            Self::Unsupported => "unsupported",
            Self::Limit => "limit",
            Self::Dimensions => "dimensions",
            Self::Device => "device",
            Self::OutOfMemory => "out of memory",
            Self::Model => "model",
            Self::Request => "request",
            Self::RateLimited => "rate limited",
            Self::Io => "io",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error of any part of imbed.
///
/// `Display` prints the message with its context, outermost first, and the hint on a line of its own.
///
/// ```
/// use imbed_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Decode, "the JPEG ends after 512 of 90112 bytes")
///     .hint("fetch the file again, or pass --on-error ignore to keep going")
///     .context("photos/cat.jpg");
/// assert_eq!(error.kind(), ErrorKind::Decode);
/// assert_eq!(error.message(), "photos/cat.jpg: the JPEG ends after 512 of 90112 bytes");
/// assert!(error.to_string().ends_with("to keep going"));
/// ```
#[derive(Debug, Clone)]
pub struct Error {
    // Boxed, so that a `Result` stays one word wider than its value.
    inner: Box<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    temporary: bool,
    // Shared, so that an error that several rows have can be given to each.
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`. The message says what failed and why, without a final full stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let temporary = matches!(kind, ErrorKind::RateLimited);
        Self { inner: Box::new(Inner { kind, message: message.into(), hint: None, temporary, source: None }) }
    }

    /// Says what the user can do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// Puts `context` (a file, a row, a model) in front of the message.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.inner.message = format!("{context}: {}", self.inner.message);
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.inner.source = Some(Arc::from(source.into()));
        self
    }

    /// Marks the error as one that may go away when the same work is tried again.
    #[must_use]
    pub fn temporary(mut self, temporary: bool) -> Self {
        self.inner.temporary = temporary;
        self
    }

    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// What failed and why, with its context, on one line.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// What the user can do next, if that is known.
    pub fn hint_text(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// Whether the same work may succeed when tried again.
    pub fn is_temporary(&self) -> bool {
        self.inner.temporary
    }

    /// An [`ErrorKind::Io`] error about `path`.
    pub fn io(path: impl fmt::Display, error: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{path}: {error}")).source(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        match &self.inner.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|e| e as _)
    }
}

/// The names in `known` that a user may have meant by `name`, nearest first, at most three.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(usize, &str)> = known.into_iter().map(|k| (edit_distance(name, k), k)).collect();
    scored.retain(|(distance, k)| *distance <= k.len().max(name.len()) / 3 + 1);
    scored.sort_unstable();
    scored.into_iter().map(|(_, k)| k).take(3).collect()
}

/// Levenshtein distance over characters, ignoring case.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_typing_mistakes_and_nothing_else() {
        assert_eq!(nearest("cnadle", ["candle", "onnx", "torch"]), ["candle"]);
        assert!(nearest("somethingelse", ["candle", "onnx"]).is_empty());
    }

    #[test]
    fn context_is_outermost_first_and_hint_comes_last() {
        let e = Error::new(ErrorKind::Io, "no space left").hint("free some").context("b").context("a");
        assert_eq!(e.to_string(), "a: b: no space left\n  free some");
    }

    #[test]
    fn rate_limited_is_temporary_by_itself() {
        assert!(Error::new(ErrorKind::RateLimited, "429").is_temporary());
        assert!(!Error::new(ErrorKind::Request, "400").is_temporary());
    }
}
