//! The stage between the feeder and the preparing one, for rows that are addresses.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use imbed_core::Result;

use super::{
    Fetch, Terms, Watch,
    window::{Ticket, Window},
};
use crate::{
    cancel::CancelHandle,
    load::panicked,
    metrics::{Metrics, Queue, Stage},
    rows::Job,
};

/// How often who waits looks whether the run was stopped.
const POLL: Duration = Duration::from_millis(50);

/// What has come for a row.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) bytes: Result<Vec<u8>>,
    /// Its place in memory, given back when the row has been prepared.
    _ticket: Ticket,
}

/// What each thread of the stage works with.
#[derive(Debug, Clone)]
pub(crate) struct Fetching {
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) terms: Terms,
    pub(crate) window: Arc<Window>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) cancel: CancelHandle,
}

impl Fetching {
    /// Fetches for every job of `wanted` and passes it on to `jobs`, until there are no more or the run is stopped.
    pub(crate) fn run(&self, wanted: &Receiver<Job>, jobs: &Sender<Job>) {
        while !self.cancel.is_cancelled() {
            let mut job = match wanted.recv_timeout(POLL) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.metrics.left(Queue::Fetch);
            job.fetched = self.fetched(&job);
            self.metrics.entered(Queue::Prepare);
            if jobs.send(job).is_err() {
                return;
            }
        }
    }

    fn fetched(&self, job: &Job) -> Option<Fetched> {
        let place = job.source.images.place(job.row)?;
        let ticket = self.window.enter(job.sequence);
        let mut watch = Watching { ticket: &ticket, fetching: self };
        let fetch = || self.fetch.fetch(place, &self.terms, &mut watch);
        let bytes = self.metrics.time(Stage::Fetch, || {
            catch_unwind(AssertUnwindSafe(fetch))
                .unwrap_or_else(|panic| Err(panicked("fetching an image", "what fetches images", &*panic)))
        });
        if let Ok(bytes) = &bytes {
            self.metrics.add_fetched(bytes.len());
        } else {
            ticket.forget();
        }
        ticket.here();
        Some(Fetched { bytes, _ticket: ticket })
    }
}

struct Watching<'a> {
    ticket: &'a Ticket,
    fetching: &'a Fetching,
}

impl Watching<'_> {
    fn going(&self) -> Result<()> {
        if self.fetching.cancel.is_cancelled() { Err(CancelHandle::error()) } else { Ok(()) }
    }
}

impl Watch for Watching<'_> {
    fn came(&mut self, bytes: usize) -> Result<()> {
        self.ticket.came(bytes, || self.fetching.cancel.is_cancelled());
        self.going()
    }

    fn again(&mut self, wait: Duration) -> Result<()> {
        self.ticket.forget();
        self.fetching.metrics.add_fetch_retry();
        let until = Instant::now() + wait;
        loop {
            self.going()?;
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(POLL));
        }
    }
}
