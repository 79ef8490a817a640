//! How much may be under way at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that wait in the pipeline, against a limit.
///
/// The limit yields to progress: while fewer rows wait than one batch needs, rows are admitted whatever they weigh, because
/// the model waits for them and nothing else would ever free a byte.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    batch_rows: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: usize,
    rows: usize,
    /// Rows that wait for the vector of another.
    copies: usize,
    closed: bool,
}

impl Budget {
    /// At most `limit` bytes, but always enough rows for one batch of `batch_rows`.
    pub(crate) fn new(limit: usize, batch_rows: usize) -> Self {
        Self { limit, batch_rows, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Waits until `bytes` more may wait. `false` if the budget was closed.
    pub(crate) fn acquire(&self, bytes: usize) -> bool {
        let mut state = self.lock();
        while !state.closed && state.rows >= self.batch_rows && state.bytes.saturating_add(bytes) > self.limit {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes = state.bytes.saturating_add(bytes);
        !state.closed
    }

    /// Gives `bytes` back.
    pub(crate) fn release(&self, bytes: usize) {
        let mut state = self.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
        drop(state);
        self.changed.notify_all();
    }

    /// One more row waits to be put in a batch.
    pub(crate) fn row_waits(&self) {
        self.lock().rows += 1;
    }

    /// `rows` rows went into a batch, or turned out to have no image.
    pub(crate) fn rows_left(&self, rows: usize) {
        let mut state = self.lock();
        state.rows = state.rows.saturating_sub(rows);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until fewer than `most` rows wait for the vector of another, and lets one more do so. `false` if the budget was closed.
    ///
    /// Such a row holds no pixels, but its place in the output, and there may be any number of them behind one slow call.
    pub(crate) fn copy_waits(&self, most: usize) -> bool {
        let mut state = self.lock();
        while !state.closed && state.copies >= most {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.copies += 1;
        !state.closed
    }

    /// `rows` rows have the vector of another, or know that there is none.
    pub(crate) fn copies_left(&self, rows: usize) {
        let mut state = self.lock();
        state.copies = state.copies.saturating_sub(rows);
        drop(state);
        self.changed.notify_all();
    }

    /// Lets nobody wait any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread, time::Duration};

    use super::*;

    #[test]
    fn a_full_budget_waits_until_bytes_come_back() {
        let budget = Arc::new(Budget::new(10, 1));
        assert!(budget.acquire(8));
        budget.row_waits();
        let waiting = thread::spawn({
            let budget = Arc::clone(&budget);
            move || budget.acquire(8)
        });
        thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished());
        budget.release(8);
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn a_batch_that_is_not_full_is_let_in_whatever_it_weighs() {
        let budget = Budget::new(1, 2);
        assert!(budget.acquire(100));
        budget.row_waits();
        assert!(budget.acquire(100));
    }

    #[test]
    fn so_many_copies_wait_and_no_more() {
        let budget = Arc::new(Budget::new(1, 0));
        assert!(budget.copy_waits(2) && budget.copy_waits(2));
        let waiting = thread::spawn({
            let budget = Arc::clone(&budget);
            move || budget.copy_waits(2)
        });
        thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished());
        budget.copies_left(1);
        assert!(waiting.join().unwrap());
        budget.close();
        assert!(!budget.copy_waits(2), "closing frees who waits");
    }

    #[test]
    fn closing_frees_who_waits() {
        let budget = Arc::new(Budget::new(1, 0));
        assert!(budget.acquire(1));
        let waiting = thread::spawn({
            let budget = Arc::clone(&budget);
            move || budget.acquire(1)
        });
        budget.close();
        assert!(!waiting.join().unwrap());
    }
}
