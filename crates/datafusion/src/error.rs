//! Errors on their way through DataFusion, which carries those of others in a box.

use datafusion::error::DataFusionError;
use imbed_core::{Error, ErrorKind};

/// `error` as DataFusion's own.
pub(crate) fn wrap(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The imbed error that `error` carries, however deeply; or else one that says what DataFusion says.
///
/// What is given is a copy of its kind, message and hint: DataFusion shares errors among partitions.
///
/// ```
/// use datafusion::error::DataFusionError;
/// use imbed_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Decode, "cat.jpg: the file is empty").hint("fetch it again");
/// let inside = DataFusionError::External(Box::new(error)).context("while reading");
/// let found = imbed_datafusion::cause(&inside);
/// assert_eq!((found.kind(), found.hint_text()), (ErrorKind::Decode, Some("fetch it again")));
/// ```
pub fn cause(error: &DataFusionError) -> Error {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = next {
        if let Some(ours) = current.downcast_ref::<Error>() {
            return copy(ours);
        }
        next = current.source();
    }
    plain(error)
}

/// `error` again: its kind, message and hint.
pub(crate) fn copy(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.message()).temporary(error.is_temporary());
    match error.hint_text() {
        Some(hint) => copy.hint(hint),
        None => copy,
    }
}

/// What DataFusion says in its own words.
fn plain(error: &DataFusionError) -> Error {
    let kind = match error.find_root() {
        DataFusionError::IoError(_) | DataFusionError::ObjectStore(_) => ErrorKind::Io,
        DataFusionError::ResourcesExhausted(_) => ErrorKind::OutOfMemory,
        DataFusionError::Internal(_) => ErrorKind::Internal,
        DataFusionError::Configuration(_) => ErrorKind::Config,
        _ => ErrorKind::BadInput,
    };
    let text = error.find_root().message();
    let mut lines = text.lines();
    let copy = Error::new(kind, lines.next().unwrap_or_default());
    let rest: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    if rest.is_empty() { copy } else { copy.hint(rest.join("\n")) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::common::plan_datafusion_err;

    use super::*;

    #[test]
    fn an_error_of_ours_is_found_below_contexts_and_sharing() {
        let ours = || Error::new(ErrorKind::UnknownModel, "there is no model 'x'").hint("look at `imbed models`");
        let deep = DataFusionError::Shared(Arc::new(wrap(ours()).context("planning"))).context("running");
        for error in [wrap(ours()), deep] {
            let found = cause(&error);
            assert_eq!(found.to_string(), ours().to_string());
            assert_eq!(found.kind(), ErrorKind::UnknownModel);
        }
    }

    #[test]
    fn what_datafusion_says_is_kept() {
        let found = cause(&plan_datafusion_err!("Invalid function 'embed'.\nDid you mean 'embed_image'?"));
        assert!(found.message().contains("Invalid function 'embed'"), "{found}");
        assert_eq!(found.hint_text(), Some("Did you mean 'embed_image'?"));
    }
}
