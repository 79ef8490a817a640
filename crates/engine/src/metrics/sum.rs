//! Counters of several runs as those of one.

use std::ops::AddAssign;

use super::{Latency, MetricsSnapshot};

impl AddAssign<&Self> for MetricsSnapshot {
    /// Counts and times add up, and so does what waits. What a run computes in, and why the cache fails, is said by the first that
    /// says it.
    fn add_assign(&mut self, other: &Self) {
        self.rows += other.rows;
        self.embedded += other.embedded;
        self.nulls += other.nulls;
        for (kind, rows) in &other.errors {
            *self.errors.entry(*kind).or_default() += rows;
        }
        self.bytes_read += other.bytes_read;
        self.fetched += other.fetched;
        self.fetch_retries += other.fetch_retries;
        self.batches += other.batches;
        self.retries += other.retries;
        self.halvings += other.halvings;
        self.copies += other.copies;
        self.cached += other.cached;
        self.cache_failure = self.cache_failure.take().or_else(|| other.cache_failure.clone());
        self.service.requests += other.service.requests;
        self.service.retries += other.service.retries;
        self.service.tokens += other.service.tokens;
        self.service.bytes_sent += other.service.bytes_sent;
        self.dtype = self.dtype.or(other.dtype);
        self.read += other.read;
        self.fetch += other.fetch;
        self.decode += other.decode;
        self.preprocess += other.preprocess;
        self.model += other.model;
        self.model_load += other.model_load;
        for latency in &other.latencies {
            match self.latencies.iter_mut().find(|own| own.stage == latency.stage) {
                Some(own) => add(own, latency),
                None => self.latencies.push(latency.clone()),
            }
        }
        self.queues.fetch += other.queues.fetch;
        self.queues.prepare += other.queues.prepare;
        self.queues.batch += other.queues.batch;
        self.queues.model += other.queues.model;
        self.queues.waiting_bytes += other.queues.waiting_bytes;
        self.queues.fetched_bytes += other.queues.fetched_bytes;
    }
}

/// All histograms have the same bounds.
fn add(own: &mut Latency, other: &Latency) {
    for ((_, own), (_, other)) in own.below.iter_mut().zip(&other.below) {
        *own += other;
    }
    own.count += other.count;
    own.sum += other.sum;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use imbed_core::ErrorKind;

    use super::super::{Metrics, Queue, Stage};
    use super::*;

    #[test]
    fn the_sum_of_two_runs_is_what_one_would_have_counted() {
        let count = |metrics: &Metrics, time: u64| {
            metrics.add_embedded(2);
            metrics.add_copies(1);
            metrics.add_cached();
            metrics.add_null();
            metrics.add_error(ErrorKind::Decode);
            metrics.add_fetched(10);
            metrics.add_fetch_retry();
            metrics.add_batch();
            metrics.add_retry();
            metrics.add_halving();
            metrics.entered(Queue::Model);
            for (stage, _) in Stage::ALL {
                metrics.add_time(stage, Duration::from_millis(time));
            }
        };
        let (one, two, both) = (Metrics::default(), Metrics::default(), Metrics::default());
        count(&one, 3);
        count(&two, 300);
        two.add_error(ErrorKind::Io);
        for time in [3, 300] {
            count(&both, time);
        }
        both.add_error(ErrorKind::Io);
        let mut sum = MetricsSnapshot::default();
        sum += &one.snapshot();
        sum += &two.snapshot();
        assert_eq!(sum, both.snapshot());
    }
}
