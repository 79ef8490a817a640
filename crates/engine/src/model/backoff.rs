//! How long to wait before trying again.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// The first wait; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(100);
/// No wait is longer.
const LONGEST: Duration = Duration::from_mins(1);
/// Each wait is longer or shorter by up to this share, so that workers do not come back together.
const JITTER: f64 = 0.25;

/// Waits that double, with jitter, a limited number of times.
#[derive(Debug)]
pub(crate) struct Backoff {
    tries_left: u32,
    wait: Duration,
}

impl Backoff {
    pub(crate) fn new(max_retries: u32) -> Self {
        Self { tries_left: max_retries, wait: FIRST }
    }

    /// The wait before the next try; `None` when all tries are used up.
    pub(crate) fn next_delay(&mut self) -> Option<Duration> {
        self.tries_left = self.tries_left.checked_sub(1)?;
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST);
        // The standard library's only source of randomness: the key of a fresh hasher.
        let random = RandomState::new().hash_one(self.tries_left) as f64 / u64::MAX as f64;
        Some(wait.mul_f64(1.0 + JITTER * (2.0 * random - 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_the_jitter_and_end() {
        let mut backoff = Backoff::new(3);
        for expected in [0.1, 0.2, 0.4] {
            let wait = backoff.next_delay().unwrap().as_secs_f64();
            assert!((wait / expected - 1.0).abs() <= JITTER + 1e-9, "{wait} for {expected}");
        }
        assert!(backoff.next_delay().is_none());
    }

    #[test]
    fn no_wait_exceeds_the_longest() {
        let mut backoff = Backoff::new(40);
        let last = std::iter::from_fn(|| backoff.next_delay()).last().unwrap();
        assert!(last <= LONGEST.mul_f64(1.0 + JITTER));
    }
}
