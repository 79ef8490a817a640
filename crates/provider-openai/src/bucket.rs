//! A limit per minute, kept before the service has to remind us of it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// A bucket that fills evenly and holds what comes in one second, so that a minute's worth is not spent at once.
///
/// It may be overdrawn: what costs more than is there is paid by waiting, in the order of asking.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    holds: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    level: f64,
    at: Instant,
}

impl Bucket {
    /// `per_minute` units a minute.
    pub(crate) fn per_minute(per_minute: u64) -> Self {
        let per_second = per_minute.max(1) as f64 / 60.0;
        let holds = per_second.max(1.0);
        Self { per_second, holds, state: Mutex::new(State { level: holds, at: Instant::now() }) }
    }

    /// Takes `units`, and waits until they were there.
    pub(crate) async fn take(&self, units: f64) {
        let owed = {
            let mut state = self.filled();
            state.level -= units;
            -state.level
        };
        if owed > 0.0 {
            sleep(Duration::try_from_secs_f64(owed / self.per_second).unwrap_or(Duration::MAX)).await;
        }
    }

    /// Corrects an estimate: `units` more, or fewer where negative, were used.
    pub(crate) fn settle(&self, units: f64) {
        let mut state = self.filled();
        state.level = (state.level - units).min(self.holds);
    }

    fn filled(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.level = (state.level + (now - state.at).as_secs_f64() * self.per_second).min(self.holds);
        state.at = now;
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(work)
    }

    #[test]
    fn a_minute_lets_through_a_minutes_worth() {
        run(async {
            let bucket = Bucket::per_minute(120);
            let start = Instant::now();
            let mut passed = 0;
            while start.elapsed() < Duration::from_mins(1) {
                bucket.take(1.0).await;
                passed += 1;
            }
            assert!((120..=123).contains(&passed), "{passed}");
        });
    }

    #[test]
    fn what_is_larger_than_the_bucket_is_waited_for() {
        run(async {
            let bucket = Bucket::per_minute(60);
            let start = Instant::now();
            bucket.take(11.0).await;
            assert!((start.elapsed().as_secs_f64() - 10.0).abs() < 0.1);
        });
    }

    #[test]
    fn a_correction_is_waited_for_later_and_a_refund_never_overfills() {
        run(async {
            let bucket = Bucket::per_minute(60);
            bucket.settle(-100.0);
            let start = Instant::now();
            bucket.take(1.0).await;
            assert!(start.elapsed().is_zero());
            bucket.settle(5.0);
            bucket.take(1.0).await;
            assert!((start.elapsed().as_secs_f64() - 6.0).abs() < 0.1);
        });
    }
}
