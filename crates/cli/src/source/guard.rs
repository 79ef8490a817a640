//! Readers of tables are other people's and files are hostile: a bug in a reader is an error of the file, not the program's end.

use imbed::core::{Error, ErrorKind, Result};

use super::batches::Batches;
use crate::panics::caught;

const AGAIN: &str = "copy or write the table again";

/// A table that contradicts its format.
pub(super) fn damaged(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadInput, what.into()).hint(AGAIN)
}

/// What `read` gives, or an error if it panics.
pub(super) fn guarded<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    caught(read).unwrap_or_else(|_| Err(damaged("the table is damaged: its reader panicked on it")))
}

/// The same of each batch. After a panic there are no more.
pub(super) fn guarded_batches(mut batches: Batches) -> Batches {
    let mut whole = true;
    Box::new(std::iter::from_fn(move || {
        if !whole {
            return None;
        }
        whole = false;
        let next = guarded(|| Ok(batches.next()));
        whole = next.is_ok();
        next.unwrap_or_else(|e| Some(Err(e)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_panics_ends_with_an_error() {
        let mut number = 0;
        let batches: Batches = Box::new(std::iter::from_fn(move || {
            number += 1;
            assert!(number < 2, "a bug");
            Some(Err(damaged("first")))
        }));
        let messages: Vec<_> = guarded_batches(batches).map(|batch| batch.unwrap_err().to_string()).collect();
        assert_eq!(messages.len(), 2);
        assert!(messages[0].contains("first") && messages[1].contains("panicked"), "{messages:?}");
    }
}
