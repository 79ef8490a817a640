//! What waits between the stages.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A channel between two stages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Queue {
    /// Rows to be fetched.
    Fetch,
    /// Rows to be read and prepared.
    Prepare,
    /// Rows that are prepared, to be put in batches.
    Batch,
    /// Batches for the model.
    Model,
}

#[derive(Debug, Default)]
pub(super) struct Queues([AtomicUsize; 4]);

impl Queues {
    pub(super) fn entered(&self, queue: Queue) {
        self.0[queue as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn left(&self, queue: Queue) {
        self.0[queue as usize].fetch_sub(1, Relaxed);
    }

    pub(super) fn depths(&self) -> QueueDepths {
        let depth = |queue: Queue| self.0[queue as usize].load(Relaxed);
        QueueDepths {
            fetch: depth(Queue::Fetch),
            prepare: depth(Queue::Prepare),
            batch: depth(Queue::Batch),
            model: depth(Queue::Model),
            waiting_bytes: 0,
            fetched_bytes: 0,
        }
    }
}

/// What waits between the stages at one moment. A queue that is full says that the stage behind it is the slow one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueDepths {
    /// Rows to be fetched by address.
    pub fetch: usize,
    /// Rows to be read and prepared.
    pub prepare: usize,
    /// Rows that are prepared, to be put in batches.
    pub batch: usize,
    /// Batches for the model.
    pub model: usize,
    /// Bytes of input and of prepared pixels under way.
    pub waiting_bytes: usize,
    /// Bytes that came by address, of rows that wait for an earlier one.
    pub fetched_bytes: usize,
}
