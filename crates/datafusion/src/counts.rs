//! What a model of this process has done, over all queries.

use std::sync::{Mutex, MutexGuard, PoisonError};

use imbed_engine::{MetricsHandle, MetricsSnapshot};

/// A model that queries of this process have used, and its counters since it was first asked for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ModelCounts {
    /// The provider's name.
    pub provider: String,
    /// The model's name.
    pub model: String,
    /// Calls of the model that may go on at once.
    pub workers: usize,
    /// The counters, of all queries together.
    pub counts: MetricsSnapshot,
}

/// The counters of a pipeline, which runs whenever somebody has images for it.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    begun: u64,
    /// The first run's, which knows what the model's service was asked for since then.
    first: Option<MetricsHandle>,
    running: Vec<(u64, MetricsHandle)>,
    /// The sum of the runs that have ended.
    ended: MetricsSnapshot,
}

impl Counts {
    /// A run begins. Its number is what it ends with.
    pub(crate) fn begin(&self, run: MetricsHandle) -> u64 {
        let mut state = self.lock();
        state.begun += 1;
        let number = state.begun;
        state.first.get_or_insert_with(|| run.clone());
        state.running.push((number, run));
        number
    }

    pub(crate) fn end(&self, number: u64) {
        let mut state = self.lock();
        if let Some(at) = state.running.iter().position(|(running, _)| *running == number) {
            let (_, run) = state.running.swap_remove(at);
            state.ended += &run.snapshot();
        }
    }

    pub(crate) fn sum(&self) -> MetricsSnapshot {
        let state = self.lock();
        let mut sum = state.ended.clone();
        for (_, run) in &state.running {
            sum += &run.snapshot();
        }
        // Runs that overlap share the service, so that each counts the requests of both.
        sum.service = state.first.as_ref().map(|first| first.snapshot().service).unwrap_or_default();
        sum
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
