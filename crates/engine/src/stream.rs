//! A run under way: the threads of its stages, and the iterator that its chunks leave by.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use imbed_core::{Device, ImageEmbedderDescriptor, Result, Usage};

use crate::{
    assemble::Assembler,
    batch::{Batcher, Done},
    budget::Budget,
    cancel::CancelHandle,
    feed::feed,
    finish::Finish,
    gpu::Lease,
    input::Chunk,
    load::Loaded,
    metrics::{Metrics, MetricsSnapshot},
    model::{Caller, Worker},
    output::EmbeddedChunk,
    plan::Plan,
    prepare::Preparer,
    report::{Event, Report},
    requests::Requests,
    reuse::Reuse,
    rows::{Job, Slot},
};

/// Reports that may wait for the caller to take its next chunk.
const WAITING_EVENTS: usize = 64;

/// How often who waits looks whether the run was stopped.
const POLL: Duration = Duration::from_millis(50);

/// What a run needs of the engine.
pub(crate) struct Parts {
    pub(crate) descriptor: Arc<dyn ImageEmbedderDescriptor>,
    pub(crate) plan: Plan,
    pub(crate) preparer: Preparer,
    pub(crate) batcher: Batcher,
    pub(crate) loaded: Arc<Loaded>,
    /// One per worker.
    pub(crate) leases: Vec<Option<Lease>>,
    pub(crate) requests: Option<Arc<Requests>>,
}

/// The chunks of a run with their vectors, in input order: an iterator that ends after the first error.
///
/// Dropping it stops the run.
#[derive(Debug)]
pub struct EmbedStream {
    events: Option<Receiver<Event>>,
    assembler: Assembler,
    budget: Arc<Budget>,
    cancel: CancelHandle,
    metrics: Arc<Metrics>,
    loaded: Arc<Loaded>,
    reuse: Reuse,
    /// What the model's services were asked for by earlier runs.
    used_before: Usage,
    threads: Vec<JoinHandle<()>>,
}

impl EmbedStream {
    /// Starts the threads of all stages over `input`.
    pub(crate) fn start<I>(parts: Parts, input: I) -> Result<Self>
    where
        I: Iterator<Item = Result<Chunk>> + Send + 'static,
    {
        let Parts { descriptor, plan, preparer, batcher, loaded, leases, requests } = parts;
        let row_bytes = batcher.row_bytes;
        let reuse = preparer.reuse.clone();
        let used_before = loaded.usage().unwrap_or_default();
        let budget = Arc::new(Budget::new(plan.waiting_bytes.value, plan.batch_size.value));
        let cancel = CancelHandle::new(Arc::clone(&budget));
        let metrics = Arc::new(Metrics::default());

        let (events_in, events) = bounded(WAITING_EVENTS);
        let (jobs_in, jobs) = bounded(2 * plan.prepare_threads.value);
        let (done_in, done) = bounded(2 * plan.prepare_threads.value);
        let (batches_in, batches) = bounded(plan.workers.value);
        let report = Arc::new(Report { events: events_in, metrics: Arc::clone(&metrics), on_error: plan.on_error });
        let mut threads = Vec::new();

        // Not joined when the stream is dropped: the input may be waiting for somebody to type.
        drop(spawn("feed", {
            let (budget, events) = (Arc::clone(&budget), report.events.clone());
            move || feed(input, &budget, row_bytes, &jobs_in, &events)
        })?);
        let preparer = Arc::new(preparer);
        for _ in 0..plan.prepare_threads.value {
            let (preparer, metrics, cancel) = (Arc::clone(&preparer), Arc::clone(&metrics), cancel.clone());
            let (jobs, done) = (jobs.clone(), done_in.clone());
            threads.push(spawn("prepare", move || prepare(&preparer, &jobs, &done, &metrics, &cancel))?);
        }
        drop((jobs, done_in));
        threads.push(spawn("batch", {
            let (budget, report) = (Arc::clone(&budget), Arc::clone(&report));
            move || batcher.run(&done, &batches_in, &budget, &report)
        })?);
        let most_rows = Arc::new(AtomicUsize::new(plan.batch_size.value));
        let failed_in_a_row = Arc::new(AtomicUsize::new(0));
        let max_retries = plan.max_retries;
        for lease in leases {
            let (descriptor, loaded, requests) = (Arc::clone(&descriptor), Arc::clone(&loaded), requests.clone());
            let (budget, report, metrics) = (Arc::clone(&budget), Arc::clone(&report), Arc::clone(&metrics));
            let (cancel, most_rows, batches) = (cancel.clone(), Arc::clone(&most_rows), batches.clone());
            let failed_in_a_row = Arc::clone(&failed_in_a_row);
            let reuse = reuse.clone();
            threads.push(spawn("model", move || {
                // Where everything may be in the cache, the model is loaded for the first image that is not.
                let first = reuse.cache.as_ref().map(|_| batches.recv());
                let Ok(first) = first.transpose() else { return };
                let device = lease.as_ref().and_then(|l| l.devices().next()).unwrap_or(Device::Cpu);
                let ready = loaded
                    .get(descriptor.as_ref(), device, &metrics)
                    .and_then(|embedder| Ok((Finish::new(descriptor.as_ref(), embedder.width())?, embedder)));
                let (finish, embedder) = match ready {
                    Ok(ready) => ready,
                    Err(error) => {
                        report.fatal(error);
                        return;
                    }
                };
                Worker {
                    caller: Caller::new(embedder, requests.as_ref().map(|r| r.handle())),
                    finish,
                    budget: &budget,
                    report: &report,
                    metrics: &metrics,
                    cancel: &cancel,
                    max_retries,
                    most_rows: &most_rows,
                    failed_in_a_row: &failed_in_a_row,
                    row_bytes,
                    reuse: &reuse,
                }
                .run(first.into_iter().chain(batches.iter()));
            })?);
        }
        let assembler = Assembler::new(plan.dimensions);
        Ok(Self { events: Some(events), assembler, budget, cancel, metrics, loaded, reuse, used_before, threads })
    }

    /// The counters so far.
    pub fn metrics(&self) -> MetricsSnapshot {
        let used = self.loaded.usage().unwrap_or(self.used_before);
        let cache_failure = self.reuse.cache.as_ref().and_then(|cache| cache.failure());
        MetricsSnapshot { service: since(used, self.used_before), cache_failure, ..self.metrics.snapshot() }
    }

    /// Stops the run from another thread; the iterator then ends with an error of kind `Cancelled`.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// Stops all stages and waits for their threads.
    fn stop(&mut self) {
        self.cancel.cancel();
        // Stages that are about to report find nobody and end.
        self.events = None;
        for thread in self.threads.drain(..) {
            // A stage that panicked has reported nothing; the next lines of the iterator say so.
            let _ = thread.join();
        }
    }
}

impl Iterator for EmbedStream {
    type Item = Result<EmbeddedChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let events = self.events.as_ref()?;
            if self.cancel.is_cancelled() {
                self.stop();
                return Some(Err(CancelHandle::error()));
            }
            if let Some(chunk) = self.assembler.take(&self.budget) {
                if chunk.is_err() {
                    self.stop();
                }
                return Some(chunk);
            }
            // A short wait, so that a cancelled run ends although its input is silent.
            match events.recv_timeout(POLL) {
                Ok(event) => {
                    if let Err(error) = self.assembler.accept(event) {
                        self.stop();
                        return Some(Err(error));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.stop();
                    let lost = !self.assembler.is_empty();
                    return lost.then(|| Err(lost_rows()));
                }
            }
        }
    }
}

impl Drop for EmbedStream {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What was used since `before`.
fn since(now: Usage, before: Usage) -> Usage {
    let mut used = now;
    used.requests -= before.requests.min(now.requests);
    used.retries -= before.retries.min(now.retries);
    used.tokens -= before.tokens.min(now.tokens);
    used.bytes_sent -= before.bytes_sent.min(now.bytes_sent);
    used
}

fn lost_rows() -> imbed_core::Error {
    imbed_core::Error::new(imbed_core::ErrorKind::Internal, "the pipeline ended before every row was done")
        .hint("this is a bug in imbed; please report it")
}

fn prepare(preparer: &Preparer, jobs: &Receiver<Job>, done: &Sender<Done>, metrics: &Metrics, cancel: &CancelHandle) {
    while !cancel.is_cancelled() {
        // A short wait: the feeder may be stuck in an input that is silent, and then nobody closes the channel.
        let job = match jobs.recv_timeout(POLL) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let (claim, result) = preparer.prepare(&job, metrics);
        let Job { sequence, source, row } = job;
        if done.send(Done { sequence, slot: Slot { source, row }, claim, result }).is_err() {
            return;
        }
    }
}

fn spawn(stage: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    thread::Builder::new()
        .name(format!("imbed-{stage}"))
        .spawn(work)
        .map_err(|e| imbed_core::Error::io(format!("cannot start the {stage} thread"), e))
}
