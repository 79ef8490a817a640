//! A run under way: the threads of its stages, and the iterator that its chunks leave by.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use imbed_core::{Device, Error, ErrorKind, ImageEmbedderDescriptor, Result};
use tracing::Span;

use crate::{
    assemble::Assembler,
    batch::{Batcher, Done},
    budget::Budget,
    cancel::CancelHandle,
    feed::Feeder,
    fetch::{Fetch, Fetching, Terms, Window},
    finish::Finish,
    gpu::Lease,
    input::Chunk,
    load::Loaded,
    metrics::{Metrics, MetricsHandle, MetricsSnapshot, Queue},
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
    /// What gets images by address, where that is allowed.
    pub(crate) fetch: Option<Arc<dyn Fetch>>,
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
    metrics: MetricsHandle,
    /// Kept for its files, which are closed with it.
    _reuse: Reuse,
    threads: Vec<JoinHandle<()>>,
}

impl EmbedStream {
    /// Starts the threads of all stages over `input`.
    pub(crate) fn start<I>(parts: Parts, input: I) -> Result<Self>
    where
        I: Iterator<Item = Result<Chunk>> + Send + 'static,
    {
        let Parts { descriptor, plan, preparer, batcher, loaded, leases, requests, fetch } = parts;
        let run = run_span(&plan);
        let row_bytes = batcher.row_bytes;
        let reuse = preparer.reuse.clone();
        let used_before = loaded.usage().unwrap_or_default();
        let budget = Arc::new(Budget::new(plan.waiting_bytes.value, plan.batch_size.value));
        let cancel = CancelHandle::new(Arc::clone(&budget));
        let metrics = Arc::new(Metrics::default());
        let window = fetch.as_ref().map(|_| Window::new(plan.waiting_bytes.value));
        let handle = MetricsHandle {
            metrics: Arc::clone(&metrics),
            loaded: Arc::clone(&loaded),
            cache: reuse.cache.as_ref().map(Arc::downgrade),
            budget: Arc::clone(&budget),
            window: window.clone(),
            used_before,
        };

        let (events_in, events) = bounded(WAITING_EVENTS);
        let (jobs_in, jobs) = bounded(2 * plan.prepare_threads.value);
        let (done_in, done) = bounded(2 * plan.prepare_threads.value);
        let (batches_in, batches) = bounded(plan.workers.value);
        let report = Arc::new(Report { events: events_in, metrics: Arc::clone(&metrics), on_error: plan.on_error });
        let mut threads = Vec::new();

        let mut wanted_in = None;
        if let (Some(fetch), Some(window)) = (fetch, window) {
            let at_once = fetch.at_once().get();
            let (sender, wanted) = bounded(at_once);
            wanted_in = Some((Arc::clone(&fetch), sender));
            let terms = Terms { max_bytes: preparer.decode.limits.max_bytes, max_retries: plan.max_retries };
            let fetching = Fetching { fetch, terms, window, metrics: Arc::clone(&metrics), cancel: cancel.clone() };
            for _ in 0..at_once {
                let (fetching, wanted, jobs) = (fetching.clone(), wanted.clone(), jobs_in.clone());
                // Not joined when the stream is dropped: a server may be silent for a while yet.
                drop(spawn(&run, "fetch", move || fetching.run(&wanted, &jobs))?);
            }
        }
        let (jobs_in, events_in, feeding) = (jobs_in, report.events.clone(), Arc::clone(&metrics));
        let feeder = Feeder {
            budget: Arc::clone(&budget),
            row_bytes,
            jobs: jobs_in,
            wanted: wanted_in,
            events: events_in,
            metrics: feeding,
        };
        // Not joined either: the input may be waiting for somebody to type.
        drop(spawn(&run, "feed", move || feeder.run(input))?);
        let preparer = Arc::new(preparer);
        for _ in 0..plan.prepare_threads.value {
            let (preparer, metrics, cancel) = (Arc::clone(&preparer), Arc::clone(&metrics), cancel.clone());
            let (jobs, done) = (jobs.clone(), done_in.clone());
            threads.push(spawn(&run, "prepare", move || prepare(&preparer, &jobs, &done, &metrics, &cancel))?);
        }
        drop((jobs, done_in));
        threads.push(spawn(&run, "batch", {
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
            threads.push(spawn(&run, "model", move || {
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
        Ok(Self { events: Some(events), assembler, budget, cancel, metrics: handle, _reuse: reuse, threads })
    }

    /// The counters so far.
    pub fn metrics(&self) -> MetricsSnapshot {
        self.metrics.snapshot()
    }

    /// The same for another thread, while the run goes on.
    pub fn metrics_handle(&self) -> MetricsHandle {
        self.metrics.clone()
    }

    /// Stops the run from another thread; the iterator then ends with an error of kind `Cancelled`.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// Stops all stages because of `error`; what the run ends with. Stages that were told to stop leave rows undone, which is no error
    /// of theirs.
    fn end(&mut self, error: Error) -> Error {
        let error = if self.cancel.is_cancelled() { CancelHandle::error() } else { error };
        self.stop();
        error
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
                        return Some(Err(self.end(error)));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let error = self.end(lost_rows());
                    return (!self.assembler.is_done()).then_some(Err(error));
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

/// The span of a run, under the caller's, with the names that OpenTelemetry has for what an embedding is.
fn run_span(plan: &Plan) -> Span {
    tracing::info_span!(
        "run",
        "gen_ai.operation.name" = "embeddings",
        "gen_ai.provider.name" = plan.provider,
        "gen_ai.request.model" = plan.model,
        "gen_ai.embeddings.dimension.count" = plan.dimensions,
    )
}

fn lost_rows() -> Error {
    Error::new(ErrorKind::Internal, "the pipeline ended before every row was done")
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
        metrics.left(Queue::Prepare);
        let (claim, result) = preparer.prepare(&job, metrics);
        let Job { sequence, source, row, .. } = job;
        metrics.entered(Queue::Batch);
        if done.send(Done { sequence, slot: Slot { source, row }, claim, result }).is_err() {
            return;
        }
    }
}

/// Starts a thread of a stage, in a span of its own under that of the run.
fn spawn(run: &Span, stage: &'static str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let run = run.clone();
    let work = move || {
        // Entered both: where only runs are wanted, the stage's span is none.
        let _run = run.enter();
        tracing::debug_span!("stage", stage).in_scope(work);
    };
    thread::Builder::new()
        .name(format!("imbed-{stage}"))
        .spawn(work)
        .map_err(|e| Error::io(format!("cannot start the {stage} thread"), e))
}
