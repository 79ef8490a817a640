//! Stopping a run early.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use imbed_core::{Error, ErrorKind};

use crate::budget::Budget;

/// Stops the run it came from; every copy does. The run ends after the batches that are in the model.
#[derive(Debug, Clone)]
pub struct CancelHandle {
    cancelled: Arc<AtomicBool>,
    budget: Arc<Budget>,
}

impl CancelHandle {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { cancelled: Arc::default(), budget }
    }

    /// Asks the run to stop. Returns at once.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.budget.close();
    }

    /// Whether somebody asked.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(crate) fn error() -> Error {
        Error::new(ErrorKind::Cancelled, "the run was stopped")
    }
}
