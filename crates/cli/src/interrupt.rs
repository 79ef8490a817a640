//! Ctrl-C: the first stops the run in good order, the second at once.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use imbed::core::{Error, ErrorKind, Result};

use crate::{exit::INTERRUPTED, sink::atomic};

static ASKED: AtomicBool = AtomicBool::new(false);
static STOP: Mutex<Option<Box<dyn Fn() + Send>>> = Mutex::new(None);

/// Listens for Ctrl-C and termination from here on.
pub(crate) fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        let again = ASKED.swap(true, Ordering::AcqRel);
        let stop = STOP.lock().unwrap_or_else(PoisonError::into_inner);
        match stop.as_ref() {
            Some(stop) if !again => stop(),
            // No run to stop in order, or the user has waited long enough.
            _ => {
                atomic::remove_unfinished();
                std::process::exit(INTERRUPTED.into());
            }
        }
    })
    .map_err(|e| Error::new(ErrorKind::Internal, format!("Ctrl-C cannot be listened for: {e}")).source(e))
}

/// From here on, the first Ctrl-C calls `stop`, which ends the run in good order.
pub(crate) fn stops(stop: impl Fn() + Send + 'static) {
    if asked() {
        stop();
    }
    *STOP.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(stop));
}

/// Whether the user has asked to stop.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Acquire)
}
