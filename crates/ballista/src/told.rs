//! Errors of imbed on their way from an executor to the client.
//!
//! Ballista sends an error as its debugging text, in which no kind and no hint can be found again. So the text that it is given holds
//! both in digits, which stay what they are.

use std::fmt::Write;

use ballista_core::error::BallistaError;
use datafusion::error::DataFusionError;
use imbed_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};

/// What the digits stand between.
const START: &str = "<imbed:";
const END: char = '>';

#[derive(Serialize, Deserialize)]
struct Told {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

/// `error` as it may be sent; what is not ours stays as it is.
///
/// A temporary error is told as one of input and output, as those are tried again.
pub(crate) fn tell(error: DataFusionError) -> DataFusionError {
    let Some(ours) = find(&error) else { return error };
    let told =
        Told { kind: ours.kind(), message: ours.message().to_owned(), hint: ours.hint_text().map(str::to_owned) };
    let Ok(json) = serde_json::to_vec(&told) else { return error };
    let mut digits = String::with_capacity(2 * json.len());
    for byte in json {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    let text = format!("{} {START}{digits}{END}", ours.message());
    if ours.is_temporary() {
        DataFusionError::IoError(std::io::Error::other(text))
    } else {
        DataFusionError::Execution(text)
    }
}

/// The error of ours that `error` tells of, or else `error`.
pub(crate) fn hear(error: DataFusionError) -> DataFusionError {
    match heard(&error.to_string()) {
        Some(ours) => DataFusionError::External(Box::new(ours)),
        None => error,
    }
}

/// The error of ours in `error`, however deep.
fn find(error: &DataFusionError) -> Option<&Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = next {
        if let Some(ours) = current.downcast_ref::<Error>() {
            return Some(ours);
        }
        next = match current.downcast_ref::<BallistaError>() {
            // It does not say so itself.
            Some(BallistaError::DataFusionError(inner)) => Some(inner.as_ref()),
            _ => current.source(),
        };
    }
    None
}

fn heard(text: &str) -> Option<Error> {
    let (_, rest) = text.split_once(START)?;
    let (digits, _) = rest.split_once(END)?;
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let json: Vec<u8> = digits.as_bytes().chunks(2).map(byte).collect::<Option<_>>()?;
    let told: Told = serde_json::from_slice(&json).ok()?;
    let error = Error::new(told.kind, told.message);
    Some(match told.hint {
        Some(hint) => error.hint(hint),
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn kind_message_and_hint_arrive_through_any_text() {
        let ours = || Error::new(ErrorKind::Decode, "a \"b\".png: it's damaged…").hint("fetch <it> again");
        let inner = DataFusionError::External(Box::new(ours())).context("running");
        let outer = BallistaError::DataFusionError(Box::new(inner));
        let deep = DataFusionError::Shared(Arc::new(DataFusionError::External(Box::new(outer))));
        let told = tell(deep);
        assert!(matches!(told, DataFusionError::Execution(_)));
        let sent = DataFusionError::Execution(format!("Job 1 failed: {told:?}"));
        let heard = imbed_datafusion::cause(&hear(sent));
        assert_eq!((heard.kind(), heard.to_string()), (ErrorKind::Decode, ours().to_string()));
    }

    #[test]
    fn temporary_errors_are_tried_again_and_others_are_left_alone() {
        let busy = Error::new(ErrorKind::Request, "busy").temporary(true);
        assert!(matches!(tell(DataFusionError::External(Box::new(busy))), DataFusionError::IoError(_)));
        let other = DataFusionError::Plan("x".to_owned());
        assert_eq!(hear(tell(other)).to_string(), "Error during planning: x");
        assert!(heard("<imbed:zz>").is_none() && heard("<imbed:7b").is_none());
    }
}
