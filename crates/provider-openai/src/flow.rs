//! How many requests are under way at once, and when none may start.
//!
//! The number starts at one and grows by one with each success, as long as the service keeps up; so an address, a key or a
//! model that is wrong is met by one request and not by many. When the service says that it has too much to do, the number
//! is halved, and grows by one per round from then on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// Shared by all requests to one service.
#[derive(Debug)]
pub(crate) struct Flow {
    most: usize,
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    allowed: f64,
    under_way: usize,
    /// The service was never overloaded.
    opening: bool,
    /// When the number was last halved.
    halved: Option<Instant>,
    /// No request starts before.
    paused_until: Option<Instant>,
}

/// The right to have one request under way; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Flow>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.lock().under_way -= 1;
        self.0.freed.notify_waiters();
    }
}

impl Flow {
    /// At most `most` requests at once.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        let state = State { allowed: 1.0, under_way: 0, opening: true, halved: None, paused_until: None };
        Arc::new(Self { most: most.max(1), state: Mutex::new(state), freed: Notify::new() })
    }

    /// Waits until one more request may be under way.
    pub(crate) async fn permit(self: &Arc<Self>) -> Permit {
        loop {
            // Registered before the look, so that a permit given back in between is not missed.
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            {
                let mut state = self.lock();
                if state.under_way < state.allowed as usize {
                    state.under_way += 1;
                    return Permit(Arc::clone(self));
                }
            }
            freed.await;
        }
    }

    /// Waits as long as the service asked everybody to.
    pub(crate) async fn pause_over(&self) {
        loop {
            let until = self.lock().paused_until.filter(|until| *until > Instant::now());
            let Some(until) = until else { return };
            sleep_until(until).await;
        }
    }

    /// Lets no request start before `until`.
    pub(crate) fn pause(&self, until: Instant) {
        let mut state = self.lock();
        state.paused_until = Some(state.paused_until.map_or(until, |before| before.max(until)));
    }

    /// A request was answered with vectors.
    pub(crate) fn succeeded(&self) {
        let mut state = self.lock();
        let step = if state.opening { 1.0 } else { 1.0 / state.allowed };
        state.allowed = (state.allowed + step).min(self.most as f64);
        drop(state);
        self.freed.notify_waiters();
    }

    /// The service said that it has too much to do, to a request that started at `started`.
    pub(crate) fn overloaded(&self, started: Instant) {
        let mut state = self.lock();
        // Requests that were under way together complain together; that is one complaint.
        if state.halved.is_none_or(|halved| started > halved) {
            state.allowed = (state.allowed / 2.0).max(1.0);
            state.opening = false;
            state.halved = Some(Instant::now());
        }
    }

    /// Requests that may be under way at once now.
    #[cfg(test)]
    fn allowed(&self) -> usize {
        self.lock().allowed as usize
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        time::Duration,
    };

    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
    }

    #[test]
    fn it_opens_one_by_one_up_to_the_most() {
        let flow = Flow::new(3);
        assert_eq!(flow.allowed(), 1);
        for expected in [2, 3, 3] {
            flow.succeeded();
            assert_eq!(flow.allowed(), expected);
        }
    }

    #[test]
    fn one_round_of_complaints_halves_it_once_and_it_recovers_slowly() {
        run(async {
            let flow = Flow::new(8);
            (0..8).for_each(|_| flow.succeeded());
            let started = Instant::now();
            tokio::time::advance(Duration::from_millis(5)).await;
            (0..8).for_each(|_| flow.overloaded(started));
            assert_eq!(flow.allowed(), 4);
            (0..4).for_each(|_| flow.succeeded());
            assert_eq!(flow.allowed(), 4);
            flow.succeeded();
            assert_eq!(flow.allowed(), 5);
            tokio::time::advance(Duration::from_millis(5)).await;
            (0..9).for_each(|_| {
                flow.overloaded(Instant::now());
            });
            assert_eq!(flow.allowed(), 2);
        });
    }

    #[test]
    fn never_more_are_under_way_than_allowed() {
        run(async {
            let flow = Flow::new(4);
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..50 {
                let (flow, now, most) = (Arc::clone(&flow), Arc::clone(&now), Arc::clone(&most));
                tasks.spawn(async move {
                    let permit = flow.permit().await;
                    most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    now.fetch_sub(1, SeqCst);
                    flow.succeeded();
                    drop(permit);
                });
            }
            tasks.join_all().await;
            assert_eq!(most.load(SeqCst), 4);
        });
    }

    #[test]
    fn a_pause_holds_everybody_and_a_shorter_one_does_not_shorten_it() {
        run(async {
            let flow = Flow::new(1);
            let start = Instant::now();
            flow.pause(start + Duration::from_secs(5));
            flow.pause(start + Duration::from_secs(1));
            flow.pause_over().await;
            assert!(start.elapsed() >= Duration::from_secs(5));
            flow.pause_over().await;
            assert!(start.elapsed() < Duration::from_secs(6));
        });
    }
}
