//! How long to wait before a request is repeated.

use std::time::Duration;

/// The first wait; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(250);
/// No wait is longer, whatever the service asks for.
pub(crate) const LONGEST: Duration = Duration::from_mins(1);
/// Each wait of our own choice is longer or shorter by up to this share, so that requests do not come back together.
const JITTER: f64 = 0.25;
/// A wait that the service asked for is longer by up to this share, and never shorter.
const JITTER_ASKED: f64 = 0.1;

/// The wait after failure number `failures`, counted from 1. `asked` is what the service asked for.
pub(crate) fn delay(failures: u32, asked: Option<Duration>) -> Duration {
    let random = fastrand::f64();
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    match asked {
        // Also not sooner than by our own count where the service asks for no time at all again and again.
        Some(asked) => {
            let asked = asked.min(LONGEST).mul_f64(1.0 + JITTER_ASKED * random);
            if failures > 2 { asked.max(doubled / 2) } else { asked }
        }
        None => doubled.mul_f64(1.0 + JITTER * (2.0 * random - 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_the_jitter() {
        for (failures, expected) in [(1, 0.25), (2, 0.5), (3, 1.0), (9, 60.0), (u32::MAX, 60.0)] {
            let wait = delay(failures, None).as_secs_f64();
            assert!((wait / expected - 1.0).abs() <= JITTER + 1e-9, "{wait} for {expected}");
        }
    }

    #[test]
    fn what_the_service_asks_for_is_kept_up_to_a_bound() {
        for _ in 0..50 {
            let wait = delay(1, Some(Duration::from_secs(3)));
            assert!(wait >= Duration::from_secs(3) && wait <= Duration::from_secs_f64(3.31), "{wait:?}");
        }
        assert!(delay(1, Some(Duration::from_hours(9))) <= LONGEST.mul_f64(1.0 + JITTER_ASKED));
    }

    #[test]
    fn a_service_that_always_says_now_is_not_hammered() {
        assert!(delay(1, Some(Duration::ZERO)).is_zero());
        assert!(delay(4, Some(Duration::ZERO)) >= Duration::from_secs(1));
    }
}
