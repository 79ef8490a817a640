//! The loaded models of this process, each with one pipeline that all partitions of all queries share.
//!
//! ```text
//!   partition 0 --\                                              /--> its vectors
//!   partition 1 ----> one channel --> the engine's pipeline ----+---> its vectors
//!   another query -/  (bounded)       read, prepare, model       \--> its vectors
//! ```
//!
//! A model is found by its descriptor, so it is loaded once per process and device. Its pipeline runs while somebody holds a
//! [`Producer`], and ends when the last one is dropped; the weights stay until [`unload_idle_models`].

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    thread,
    time::Duration,
};

use arrow_array::{ArrayRef, FixedSizeListArray, RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use imbed_core::{Error, ErrorKind, Result};
use imbed_engine::{Allocator, Chunk, EmbedStream, EmbeddedChunk, Engine, GpuInventory, Images, RowError};
use tokio::sync::{mpsc, oneshot};

use crate::{
    counts::{Counts, ModelCounts},
    error::copy,
    models::Model,
};

/// Pieces that may wait to enter the engine, which has a budget of its own for what is inside.
const WAITING_PIECES: usize = 2;

/// How long rows wait for others to share a call of the model while it has nothing to do.
const LINGER: Duration = Duration::from_millis(20);

/// The GPUs that this process may use, if not all.
static GPUS: OnceLock<Arc<dyn GpuInventory>> = OnceLock::new();

static PIPELINES: LazyLock<Mutex<HashMap<String, Arc<Pipeline>>>> = LazyLock::new(Mutex::default);

/// A model that is loaded at its first use.
#[derive(Debug)]
pub(crate) struct Pipeline {
    engine: Engine,
    run: Mutex<Weak<Run>>,
    counts: Arc<Counts>,
}

/// A pipeline under way.
struct Run {
    jobs: mpsc::Sender<Job>,
    failure: Failure,
}

/// Why a pipeline has ended, if not because everybody has gone.
type Failure = Arc<Mutex<Option<Error>>>;

/// Images on their way in.
struct Job {
    images: Images,
    labels: Option<ArrayRef>,
    reply: Reply,
}

type Reply = oneshot::Sender<Embedded>;

/// Vectors on their way back.
#[derive(Debug)]
pub(crate) struct Embedded {
    /// One for each image; null where there was none or it failed.
    pub(crate) embeddings: FixedSizeListArray,
    /// The rows that failed.
    pub(crate) errors: Vec<RowError>,
    /// Rows that have the vector of an earlier row, which has the same image.
    pub(crate) copies: usize,
}

/// The right to send images into a pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Producer(Arc<Run>);

impl Pipeline {
    /// The pipeline of `model`, planned now if this is the first use.
    pub(crate) fn of(model: &Model) -> Result<Arc<Self>> {
        let mut pipelines = lock(&PIPELINES);
        if let Some(pipeline) = pipelines.get(&model.key) {
            return Ok(Arc::clone(pipeline));
        }
        // Queries share devices, as their partitions do: an allocator of its own lets two models of one query run at once.
        let mut engine = Engine::builder(Arc::clone(&model.descriptor)).allocator(Allocator::default()).linger(LINGER);
        if let Some(gpus) = GPUS.get() {
            engine = engine.inventory(Arc::clone(gpus));
        }
        let engine = engine.build()?;
        let pipeline = Arc::new(Self { engine, run: Mutex::default(), counts: Arc::default() });
        pipelines.insert(model.key.clone(), Arc::clone(&pipeline));
        Ok(pipeline)
    }

    /// Joins the pipeline under way, or starts it.
    pub(crate) fn producer(&self) -> Result<Producer> {
        let mut current = lock(&self.run);
        if let Some(run) = current.upgrade().filter(|run| lock(&run.failure).is_none()) {
            return Ok(Producer(run));
        }
        let (jobs, receiver) = mpsc::channel(WAITING_PIECES);
        let failure = Failure::default();
        let queue = Arc::new(Queue { jobs: Mutex::new(receiver), replies: Mutex::default() });
        let stream = self.engine.embed_stream(chunks(Arc::clone(&queue)))?;
        let run = Arc::new(Run { jobs, failure: Arc::clone(&failure) });
        let (counts, number) = (Arc::clone(&self.counts), self.counts.begin(stream.metrics_handle()));
        thread::Builder::new()
            .name("imbed-embed".to_owned())
            .spawn(move || {
                deliver(stream, &queue, &failure);
                counts.end(number);
            })
            .map_err(|e| Error::io("cannot start the thread that hands vectors out", e))?;
        *current = Arc::downgrade(&run);
        Ok(Producer(run))
    }
}

impl Producer {
    /// The vectors of `images`. Waits while the pipeline is full; `labels` name rows in messages.
    pub(crate) async fn embed(self, images: Images, labels: Option<ArrayRef>) -> Result<Embedded> {
        let (reply, answer) = oneshot::channel();
        let failure = Arc::clone(&self.0.failure);
        let sent = self.0.jobs.send(Job { images, labels, reply }).await;
        // Whoever only waits keeps no pipeline open: the last rows run at once when nobody has more.
        drop(self);
        if sent.is_err() {
            return Err(reason(&failure));
        }
        answer.await.map_err(|_| reason(&failure))
    }
}

/// Why a pipeline has ended that somebody waited for.
fn reason(failure: &Failure) -> Error {
    lock(failure).as_ref().map_or_else(
        || {
            Error::new(ErrorKind::Internal, "the pipeline ended while rows waited for it")
                .hint("this is a bug in imbed; please report it")
        },
        copy,
    )
}

/// What the engine's input and the thread that hands vectors out share. While either is there, nobody is told that a pipeline has
/// ended, so the reason is always there first.
struct Queue {
    jobs: Mutex<mpsc::Receiver<Job>>,
    /// Who waits for the chunks inside the engine, in their order.
    replies: Mutex<VecDeque<Reply>>,
}

/// The jobs as the engine takes them. Those that nobody waits for any more are passed over.
fn chunks(queue: Arc<Queue>) -> impl Iterator<Item = Result<Chunk>> + Send {
    std::iter::from_fn(move || {
        loop {
            let Job { images, labels, reply } = lock(&queue.jobs).blocking_recv()?;
            if reply.is_closed() {
                continue;
            }
            let options = RecordBatchOptions::new().with_row_count(Some(images.len()));
            let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)
                .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()));
            lock(&queue.replies).push_back(reply);
            return Some(batch.map(|batch| Chunk { batch, images, labels, first_row: None }));
        }
    })
}

/// Hands the vectors to those who wait for them, until there is nobody left or the pipeline fails.
fn deliver(stream: EmbedStream, queue: &Queue, failure: &Failure) {
    for chunk in stream {
        match chunk {
            Ok(chunk) => {
                if let Some(reply) = lock(&queue.replies).pop_front() {
                    // Whoever has gone needs no vectors.
                    let EmbeddedChunk { embeddings, errors, copies, .. } = chunk;
                    let _ = reply.send(Embedded { embeddings, errors, copies });
                }
            }
            Err(error) => *lock(failure) = Some(error),
        }
    }
    // Those who still wait find out by their channel's end, and look for the reason.
    lock(&queue.replies).clear();
}

/// Lets the models of this process use `gpus` and no others, from now on: those that a worker of a cluster was given, say.
///
/// Each model leases them for its workers, however many partitions and queries use it. An error if that was said before.
pub fn use_gpus(gpus: Arc<dyn GpuInventory>) -> Result<()> {
    GPUS.set(gpus).map_err(|_| Error::new(ErrorKind::Internal, "which GPUs may be used has been said before"))
}

/// The models that queries of this process have used so far, each with its counters: what they embedded, what failed, and how long
/// the steps took. Models that were [unloaded](unload_idle_models) are not among them.
pub fn model_counts() -> Vec<ModelCounts> {
    let pipelines = lock(&PIPELINES);
    let counts = pipelines.values().map(|pipeline| {
        let plan = pipeline.engine.plan();
        ModelCounts {
            provider: plan.provider.clone(),
            model: plan.model.clone(),
            workers: plan.workers.value,
            counts: pipeline.counts.sum(),
        }
    });
    counts.collect()
}

/// Frees the models of this process that no query uses, and says how many those were.
///
/// Models stay loaded between queries, so that the next one need not wait for its weights. A service that embeds now and then
/// calls this when it has been idle for long enough.
pub fn unload_idle_models() -> usize {
    let mut pipelines = lock(&PIPELINES);
    let before = pipelines.len();
    pipelines.retain(|_, pipeline| lock(&pipeline.run).strong_count() > 0);
    before - pipelines.len()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}
