//! The way in: plan once, run as often as wanted.

use std::{
    iter,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use arrow_array::{ArrayRef, FixedSizeListArray, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use imbed_core::{
    Device, Error, ErrorKind, Execution, ImageEmbedderDescriptor, InputSpec, Result,
    arrow::{Provenance, embedding_field},
    image::DecodeOptions,
    options::Dtype,
};

use crate::{
    batch::{Batcher, Layout},
    cache::{Cache, Key},
    copies::Copies,
    fetch::Fetch,
    gpu::{Allocator, GpuInventory, SystemInventory},
    input::{Chunk, Images},
    load::Loaded,
    output::RowError,
    plan::Plan,
    prepare::Preparer,
    provenance::provenance,
    requests::Requests,
    resources::Machine,
    reuse::Reuse,
    stream::{EmbedStream, Parts},
};

/// A planned model, ready to run. Loads its weights on first use and keeps them.
///
/// ```no_run
/// # fn main() -> imbed_core::Result<()> {
/// use std::sync::Arc;
/// use arrow_array::{ArrayRef, StringArray};
/// use imbed_core::{Session, session::Request};
/// use imbed_engine::{Engine, Images};
///
/// let resolved = Session::from_environment()?.resolve(&Request::default())?;
/// let engine = Engine::builder(resolved.descriptor).build()?;
/// println!("{}", engine.plan());
/// let paths: ArrayRef = Arc::new(StringArray::from(vec![Some("cat.jpg"), None]));
/// let embedded = engine.embed_array(Images::Paths(paths))?;
/// assert_eq!(embedded.embeddings.value_length() as usize, engine.plan().dimensions);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Engine {
    descriptor: Arc<dyn ImageEmbedderDescriptor>,
    plan: Plan,
    decode: DecodeOptions,
    allocator: Allocator,
    linger: Option<Duration>,
    cache: Option<PathBuf>,
    provenance: OnceLock<Provenance>,
    loaded: Arc<Loaded>,
    requests: Option<Arc<Requests>>,
    fetch: Option<Arc<dyn Fetch>>,
}

/// Vectors for one array of images.
#[derive(Debug)]
pub struct Embedded {
    /// One vector per image, `FixedSizeList<Float32, D>`; null where there was no image or it failed.
    pub embeddings: FixedSizeListArray,
    /// The images that failed, in order; empty under `on_error = raise`.
    pub errors: Vec<RowError>,
}

/// What an [`Engine`] is built from.
#[derive(Debug)]
pub struct EngineBuilder {
    descriptor: Arc<dyn ImageEmbedderDescriptor>,
    decode: DecodeOptions,
    prepare_threads: Option<usize>,
    machine: Machine,
    inventory: Arc<dyn GpuInventory>,
    allocator: Allocator,
    linger: Option<Duration>,
    cache: Option<PathBuf>,
    fetch: Option<Arc<dyn Fetch>>,
}

impl EngineBuilder {
    /// Limits and leniency of decoding. All else of it follows the descriptor's own options.
    #[must_use]
    pub fn decode(mut self, decode: DecodeOptions) -> Self {
        self.decode = decode;
        self
    }

    /// Threads that read, decode and preprocess; `None` lets the plan choose.
    #[must_use]
    pub fn cpu_threads(mut self, threads: Option<usize>) -> Self {
        self.prepare_threads = threads;
        self
    }

    /// Plans for another machine than this one.
    #[must_use]
    pub fn machine(mut self, machine: Machine) -> Self {
        self.machine = machine;
        self
    }

    /// Plans with other GPUs than this machine's.
    #[must_use]
    pub fn inventory(mut self, inventory: Arc<dyn GpuInventory>) -> Self {
        self.inventory = inventory;
        self
    }

    /// Leases GPUs from another allocator than the process's own.
    #[must_use]
    pub fn allocator(mut self, allocator: Allocator) -> Self {
        self.allocator = allocator;
        self
    }

    /// Runs a batch that is not full once its rows have waited so long and the model has nothing to do.
    ///
    /// For inputs that pause while somebody waits for what has gone in. Which rows share a batch then depends on time; without
    /// this, only on the input.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = Some(linger);
        self
    }

    /// Keeps vectors in the folder `cache`, for later runs: an image that was embedded before, by the same model with the same options,
    /// is not embedded again. The folder is made if need be. Several processes may use it at once.
    ///
    /// Telling models apart needs the hash of their weights, so each engine reads them once. A run finds what was there when it
    /// began, and holds 16 bytes in memory for each of these vectors.
    #[must_use]
    pub fn cache(mut self, cache: Option<PathBuf>) -> Self {
        self.cache = cache;
        self
    }

    /// Lets rows be addresses of images, which this gets; without, the engine makes no request.
    #[must_use]
    pub fn fetch(mut self, fetch: Option<Arc<dyn Fetch>>) -> Self {
        self.fetch = fetch;
        self
    }

    /// Decides everything. Loads nothing.
    pub fn build(self) -> Result<Engine> {
        let Self { descriptor, mut decode, prepare_threads, machine, inventory, allocator, linger, cache, fetch } =
            self;
        let mut plan = Plan::new(descriptor.as_ref(), machine, inventory.as_ref(), prepare_threads)?;
        plan.fetches = fetch.as_ref().map(|fetch| fetch.at_once().get());
        match (descriptor.execution(), descriptor.input()) {
            (Execution::Async, InputSpec::Pixels(_)) => {
                return Err(broken(&*descriptor, "is asynchronous but asks for pixels"));
            }
            (_, InputSpec::Pixels(preprocess)) if preprocess.max_output_bytes().is_none() => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("the preprocessing of '{}' gives images of any size", descriptor.model()),
                )
                .hint("its preprocessor_config.json needs a centre crop or an exact size"));
            }
            _ => {}
        }
        let options = descriptor.options();
        if cache.is_some() && options.dtype == Some(Dtype::Auto) {
            // The choice is not known before the model is loaded, and may be another in the next run.
            let message = "a cache cannot keep vectors of dtype 'auto': what it chooses may differ from run to run";
            return Err(Error::new(ErrorKind::BadOption, message)
                .hint("run once without the cache to see what it chooses, and name that; or leave the cache out"));
        }
        decode.exif_orientation = options.exif_orientation;
        decode.icc = options.icc;
        decode.frame = options.frame;
        decode.at_least = None;
        let requests = Requests::start(descriptor.execution())?;
        let (provenance, loaded) = (OnceLock::new(), Arc::default());
        Ok(Engine { descriptor, plan, decode, allocator, linger, cache, provenance, loaded, requests, fetch })
    }
}

impl Engine {
    /// Starts building an engine for `descriptor`.
    pub fn builder(descriptor: Arc<dyn ImageEmbedderDescriptor>) -> EngineBuilder {
        EngineBuilder {
            descriptor,
            decode: DecodeOptions::default(),
            prepare_threads: None,
            machine: Machine::detect(),
            inventory: Arc::new(SystemInventory),
            allocator: Allocator::global(),
            linger: None,
            cache: None,
            fetch: None,
        }
    }

    /// What was decided, and why.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The configured model.
    pub fn descriptor(&self) -> &Arc<dyn ImageEmbedderDescriptor> {
        &self.descriptor
    }

    /// The folder where vectors are kept, if they are.
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// The embedding column's field: its type, and metadata that say what made it. Reads the weights to hash them.
    pub fn field(&self, name: &str) -> Result<Field> {
        Ok(embedding_field(name, self.plan.dimensions, self.provenance()?))
    }

    /// The same of a model that is not to be run here: for planners. Reads the weights only if they are to be hashed.
    pub fn field_of(name: &str, descriptor: &dyn ImageEmbedderDescriptor, hash_weights: bool) -> Result<Field> {
        let provenance = provenance(descriptor, hash_weights)?;
        Ok(embedding_field(name, descriptor.dimensions().size, &provenance))
    }

    /// Everything that decides a vector beside its image, as JSON: provider, model, weights, options, recipe, how files are decoded, the
    /// kind of device, and imbed's version. Two engines that say the same give the same vectors. Reads the weights to hash them.
    ///
    /// An error where that cannot be known before the model runs, with `dtype = auto`.
    pub fn identity(&self) -> Result<serde_json::Value> {
        if self.descriptor.options().dtype == Some(Dtype::Auto) {
            let message =
                "what dtype 'auto' chooses is not known before the model is loaded, and may differ from run to run";
            return Err(
                Error::new(ErrorKind::BadOption, message).hint("name the number type that it chose: --dtype f32")
            );
        }
        Ok(self.key()?.about().clone())
    }

    fn key(&self) -> Result<Key> {
        Key::new(self.provenance()?, self.plan.dimensions, &self.plan.devices.value, &self.decode)
    }

    /// Embeds every chunk of `input`, in order. The model is loaded now if this is the first use.
    pub fn embed_stream<I>(&self, input: I) -> Result<EmbedStream>
    where
        I: IntoIterator<Item = Result<Chunk>>,
        I::IntoIter: Send + 'static,
    {
        let (layout, row_bytes) = match self.descriptor.input() {
            InputSpec::Pixels(preprocess) => {
                let layout = preprocess
                    .output_size()
                    .map_or(Layout::Ragged, |size| Layout::Uniform(size.height as usize, size.width as usize));
                (layout, preprocess.max_output_bytes().unwrap_or_default() as usize)
            }
            InputSpec::Encoded { .. } => (Layout::Encoded, 0),
        };
        let parts = Parts {
            descriptor: Arc::clone(&self.descriptor),
            plan: self.plan.clone(),
            preparer: Preparer {
                input: self.descriptor.input().clone(),
                decode: self.decode,
                alpha: self.descriptor.options().alpha,
                decoding: self.descriptor.options().decode,
                reuse: self.reuse()?,
            },
            batcher: Batcher {
                batch_size: self.plan.batch_size.value,
                layout,
                row_bytes,
                linger: self.linger,
                // One in each worker, and as many in the channel to them.
                under_way: 2 * self.plan.workers.value,
            },
            loaded: Arc::clone(&self.loaded),
            leases: self.leases()?,
            requests: self.requests.clone(),
            fetch: self.fetch.clone(),
        };
        EmbedStream::start(parts, input.into_iter())
    }

    /// Embeds one array of images.
    pub fn embed_array(&self, images: Images) -> Result<Embedded> {
        let rows = images.len();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)
            .map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))?;
        let mut stream = self.embed_stream(iter::once(Ok(Chunk { batch, images, labels: None, first_row: None })))?;
        let chunk = stream.next().ok_or_else(|| Error::new(ErrorKind::Internal, "a run gave nothing back"))??;
        Ok(Embedded { embeddings: chunk.embeddings, errors: chunk.errors })
    }

    /// What makes the vectors. Reads the weights the first time.
    fn provenance(&self) -> Result<&Provenance> {
        if self.provenance.get().is_none() {
            // Whoever came first has put in the same.
            let _ = self.provenance.set(provenance(self.descriptor.as_ref(), true)?);
        }
        self.provenance.get().ok_or_else(|| Error::new(ErrorKind::Internal, "what makes the vectors was lost"))
    }

    /// What a run need not embed.
    fn reuse(&self) -> Result<Reuse> {
        let size = self.plan.dimensions;
        let copies = self.descriptor.options().dedupe.then(|| Arc::new(Copies::new(size)));
        let open = |folder: &PathBuf| Cache::open(folder, self.key()?, size).map(Arc::new);
        Ok(Reuse { copies, cache: self.cache.as_ref().map(open).transpose()? })
    }

    /// A lease for each worker; `None` on the processor, which is shared.
    fn leases(&self) -> Result<Vec<Option<crate::gpu::Lease>>> {
        let devices = &self.plan.devices.value;
        let gpu = devices.first().is_some_and(|d: &Device| d.is_gpu());
        (0..self.plan.workers.value)
            .map(|_| gpu.then(|| self.allocator.lease(devices, self.plan.gpus_per_worker)).transpose())
            .collect()
    }
}

fn broken(descriptor: &dyn ImageEmbedderDescriptor, what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the model '{}' {what}", descriptor.model()))
        .hint(format!("this is a bug in the provider '{}'", descriptor.provider()))
}

/// One image array as the engine takes it.
impl From<ArrayRef> for Images {
    fn from(array: ArrayRef) -> Self {
        Self::Encoded(array)
    }
}
