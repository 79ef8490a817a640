//! How much of what is fetched may be in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How often who waits looks whether the run was stopped.
const POLL: Duration = Duration::from_millis(50);

/// The rows that are fetched, from the first that is not there, with their bytes, against a limit.
///
/// Rows arrive in any order but leave in that of the input, so those behind a slow one pile up, here or prepared. Beyond the limit
/// a fetch stands still, with the server waiting for it, unless it is the first: that one frees the others.
#[derive(Debug)]
pub(crate) struct Window {
    limit: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<u64, Held>,
    bytes: usize,
}

#[derive(Debug)]
struct Held {
    bytes: usize,
    phase: Phase,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Its bytes are coming.
    Comes,
    /// They are all there, and wait to be prepared.
    Here,
    /// They have been prepared.
    Gone,
}

impl Window {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::default(), changed: Condvar::new() })
    }

    /// The row `sequence` begins to come.
    pub(crate) fn enter(self: &Arc<Self>, sequence: u64) -> Ticket {
        self.lock().rows.insert(sequence, Held { bytes: 0, phase: Phase::Comes });
        Ticket { window: Arc::clone(self), sequence }
    }

    /// Bytes that are in memory, or are in a later stage that waits for a row here.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_first(&self, sequence: u64) -> bool {
        self.rows.iter().find(|(_, held)| held.phase == Phase::Comes).is_none_or(|(first, _)| *first == sequence)
    }
}

/// A row's place in the window, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    window: Arc<Window>,
    sequence: u64,
}

impl Ticket {
    /// So many bytes more; waits while there is no room, or until `stopped`.
    pub(crate) fn came(&self, bytes: usize, stopped: impl Fn() -> bool) {
        let mut state = self.window.lock();
        state.bytes += bytes;
        if let Some(held) = state.rows.get_mut(&self.sequence) {
            held.bytes += bytes;
        }
        while state.bytes > self.window.limit && !state.is_first(self.sequence) && !stopped() {
            (state, _) = self.window.changed.wait_timeout(state, POLL).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What has come so far is thrown away.
    pub(crate) fn forget(&self) {
        let mut state = self.window.lock();
        let held = state.rows.get_mut(&self.sequence).map(|held| std::mem::take(&mut held.bytes));
        state.bytes -= held.unwrap_or_default();
        drop(state);
        self.window.changed.notify_all();
    }

    /// All has come that will.
    pub(crate) fn here(&self) {
        self.phase(Phase::Here);
    }

    fn phase(&self, phase: Phase) {
        let mut state = self.window.lock();
        if let Some(held) = state.rows.get_mut(&self.sequence) {
            held.phase = phase;
        }
        while let Some(first) = state.rows.first_entry().filter(|first| first.get().phase == Phase::Gone) {
            let bytes = first.remove().bytes;
            state.bytes -= bytes;
        }
        drop(state);
        self.window.changed.notify_all();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.phase(Phase::Gone);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const NEVER: fn() -> bool = || false;

    #[test]
    fn beyond_the_limit_the_first_goes_on_and_the_others_wait_for_it() {
        let window = Window::new(10);
        let (first, second) = (window.enter(0), window.enter(1));
        second.came(8, NEVER);
        let waiting = thread::spawn(move || {
            second.came(8, NEVER);
            second
        });
        thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished());
        first.came(100, NEVER);
        assert!(!waiting.is_finished());
        first.here();
        let second = waiting.join().unwrap();
        drop(second);
        assert_eq!(window.bytes(), 116, "what a later row brought is there until the earlier rows have gone");
        drop(first);
        assert_eq!(window.bytes(), 0);
    }

    #[test]
    fn a_try_that_failed_holds_nothing() {
        let window = Window::new(10);
        let ticket = window.enter(0);
        ticket.came(5, NEVER);
        ticket.forget();
        ticket.came(3, NEVER);
        assert_eq!(window.bytes(), 3);
    }

    #[test]
    fn a_stop_frees_who_waits() {
        let window = Window::new(1);
        let (_first, second) = (window.enter(0), window.enter(1));
        second.came(5, || true);
    }
}
