//! How long single steps take: a histogram that threads add to without waiting for each other.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds of the buckets, in microseconds; beyond the last is one more.
const BOUNDS: [u64; 15] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 15_000_000,
    60_000_000,
];

#[derive(Debug, Default)]
pub(super) struct Buckets {
    nanos: AtomicU64,
    counts: [AtomicU64; BOUNDS.len() + 1],
}

impl Buckets {
    pub(super) fn add(&self, time: Duration) {
        self.nanos.fetch_add(time.as_nanos() as u64, Relaxed);
        let micros = time.as_micros() as u64;
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        self.counts[bucket].fetch_add(1, Relaxed);
    }

    pub(super) fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Relaxed))
    }

    pub(super) fn latency(&self, stage: &'static str) -> Latency {
        let mut count = 0;
        let mut upto = |bucket: &AtomicU64| {
            count += bucket.load(Relaxed);
            count
        };
        let below = BOUNDS.iter().zip(&self.counts);
        let below = below.map(|(bound, bucket)| (Duration::from_micros(*bound), upto(bucket))).collect();
        upto(&self.counts[BOUNDS.len()]);
        Latency { stage, below, count, sum: self.sum() }
    }
}

/// How long the steps of one stage took: of one image in most, of one batch in the model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Latency {
    /// The stage: `read`, `fetch`, `decode`, `preprocess`, `model` or `model_load`.
    pub stage: &'static str,
    /// How many steps took at most so long, for growing times.
    pub below: Vec<(Duration, u64)>,
    /// All steps.
    pub count: u64,
    /// Their time, summed over threads.
    pub sum: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_below_every_bound_that_they_keep() {
        let buckets = Buckets::default();
        for micros in [250, 251, 3_000_000, 90_000_000] {
            buckets.add(Duration::from_micros(micros));
        }
        let latency = buckets.latency("read");
        assert_eq!(latency.count, 4);
        assert_eq!(latency.sum, Duration::from_micros(93_000_501));
        assert_eq!(latency.below[0], (Duration::from_micros(250), 1));
        assert_eq!(latency.below[1], (Duration::from_micros(500), 2));
        assert_eq!(latency.below[12].1, 3);
        assert_eq!(latency.below[14].1, 3, "what is slower than the last bound is in the count alone");
    }
}
