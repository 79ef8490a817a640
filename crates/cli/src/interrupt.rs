//! Ctrl-C: the first stops the run in good order, the second at once.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use imbed::{
    core::{Error, ErrorKind, Result},
    engine::CancelHandle,
};

use crate::{exit::INTERRUPTED, sink::atomic};

static ASKED: AtomicBool = AtomicBool::new(false);
static RUN: Mutex<Option<CancelHandle>> = Mutex::new(None);

/// Listens for Ctrl-C and termination from here on.
pub(crate) fn listen() -> Result<()> {
    ctrlc::set_handler(|| {
        let again = ASKED.swap(true, Ordering::AcqRel);
        let run = RUN.lock().unwrap_or_else(PoisonError::into_inner);
        match run.as_ref() {
            Some(run) if !again => run.cancel(),
            // No run to stop in order, or the user has waited long enough.
            _ => {
                atomic::remove_unfinished();
                std::process::exit(INTERRUPTED.into());
            }
        }
    })
    .map_err(|e| Error::new(ErrorKind::Internal, format!("Ctrl-C cannot be listened for: {e}")).source(e))
}

/// From here on, the first Ctrl-C stops `run`.
pub(crate) fn stops(run: CancelHandle) {
    if asked() {
        run.cancel();
    }
    *RUN.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
}

/// Whether the user has asked to stop.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Acquire)
}
