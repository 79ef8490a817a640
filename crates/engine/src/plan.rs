//! What the engine decided, and why.

use std::fmt;

use imbed_core::{
    Device, Execution, ImageEmbedderDescriptor, InputSpec, Result,
    options::{GpuCount, OnError},
};

use crate::{
    copies::REMEMBERED_BYTES,
    gpu::{Allocator, GpuInventory, choose},
    resources::Machine,
};

/// Images per call on a processor for each of its cores, where nobody says otherwise, and the least and the most of a call: a model
/// gives each core images of its own.
const CPU_BATCH: (usize, usize, usize) = (16, 32, 256);
/// Images per call on a GPU, where nobody says otherwise.
const GPU_BATCH: usize = 128;
/// Requests in flight to a service, where nobody says otherwise.
const REQUESTS: usize = 8;
/// Of the machine's memory, what one batch's working memory may take.
const MEMORY_SHARE: u64 = 8;
/// Bytes of input and prepared pixels that may wait, where memory allows it.
const WAITING_BYTES: usize = 128 << 20;

/// How a run will go. `Display` prints it as a table with the reason for each line.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The provider's name.
    pub provider: String,
    /// The model's name.
    pub model: String,
    /// Numbers per vector.
    pub dimensions: usize,
    /// Blocking workers, or requests in flight.
    pub execution: Execution,
    /// What the preparing stage makes of each image.
    pub input: String,
    /// Devices that workers may lease.
    pub devices: Decision<Vec<Device>>,
    /// GPUs per worker; zero on the processor.
    pub gpus_per_worker: GpuCount,
    /// Copies of the model, or requests in flight.
    pub workers: Decision<usize>,
    /// Images per call.
    pub batch_size: Decision<usize>,
    /// Threads that read, decode and preprocess.
    pub prepare_threads: Decision<usize>,
    /// Images that are fetched by address at once; `None` where that is not allowed.
    pub fetches: Option<usize>,
    /// Bytes of input and prepared pixels that may wait.
    pub waiting_bytes: Decision<usize>,
    /// Further tries after a temporary failure.
    pub max_retries: u32,
    /// What a failing row does.
    pub on_error: OnError,
    /// Whether identical images are embedded once.
    pub dedupe: bool,
}

/// A number or a list that was decided, with the reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision<T> {
    /// What was decided.
    pub value: T,
    /// Why.
    pub why: String,
}

impl<T> Decision<T> {
    fn new(value: T, why: impl Into<String>) -> Self {
        Self { value, why: why.into() }
    }
}

impl Plan {
    /// Plans a run of `descriptor` on `machine`. Loads nothing.
    ///
    /// `prepare_threads` is the user's wish; `None` lets the plan choose.
    pub fn new(
        descriptor: &dyn ImageEmbedderDescriptor,
        machine: Machine,
        inventory: &dyn GpuInventory,
        prepare_threads: Option<usize>,
    ) -> Result<Self> {
        let options = descriptor.options();
        let execution = descriptor.execution();
        let devices = devices(descriptor, inventory)?;
        let gpus_per_worker = match (options.num_gpus, devices.value.first()) {
            (_, None | Some(Device::Cpu)) => GpuCount::new(0.0)?,
            (Some(count), _) => count,
            (None, _) => GpuCount::new(1.0)?,
        };
        let workers = workers(descriptor, &devices.value, gpus_per_worker)?;
        let batch_size = batch_size(descriptor, machine, &devices.value);
        Ok(Self {
            provider: descriptor.provider().to_owned(),
            model: descriptor.model().to_owned(),
            dimensions: descriptor.dimensions().size,
            execution,
            input: describe_input(descriptor.input()),
            prepare_threads: match prepare_threads {
                Some(threads) => Decision::new(threads.max(1), "asked for"),
                None => Decision::new(machine.cpus.get(), "one per core; they wait while the model keeps up"),
            },
            waiting_bytes: waiting_bytes(descriptor.input(), batch_size.value, workers.value),
            fetches: None,
            devices,
            gpus_per_worker,
            workers,
            batch_size,
            max_retries: options.max_retries,
            on_error: options.on_error,
            dedupe: options.dedupe,
        })
    }
}

fn devices(descriptor: &dyn ImageEmbedderDescriptor, inventory: &dyn GpuInventory) -> Result<Decision<Vec<Device>>> {
    if descriptor.execution() == Execution::Async {
        return Ok(Decision::new(Vec::new(), "the model runs elsewhere"));
    }
    let choice = choose(descriptor.options().device, &descriptor.capability(), inventory)?;
    Ok(Decision::new(choice.devices, choice.why))
}

fn workers(descriptor: &dyn ImageEmbedderDescriptor, devices: &[Device], gpus: GpuCount) -> Result<Decision<usize>> {
    let asked = descriptor.options().concurrency.map(std::num::NonZeroUsize::get);
    if descriptor.execution() == Execution::Async {
        return Ok(match asked {
            Some(n) => Decision::new(n, "asked for (concurrency)"),
            None => Decision::new(REQUESTS, "the default for requests in flight"),
        });
    }
    if devices.first().is_none_or(|d| !d.is_gpu()) {
        return Ok(match asked {
            Some(n) => Decision::new(n, "asked for (concurrency); all share one copy of the weights"),
            None => Decision::new(1, "one model call uses every core by itself"),
        });
    }
    let room = Allocator::fitting(devices.len(), gpus);
    let workers = asked.unwrap_or(room);
    if workers > room || room == 0 {
        return Err(imbed_core::Error::new(
            imbed_core::ErrorKind::Device,
            format!("{} workers of {} GPUs each do not fit on {} GPUs", workers.max(1), gpus.get(), devices.len()),
        )
        .hint("lower num_gpus or concurrency"));
    }
    let why = if asked.is_some() { "asked for (concurrency)" } else { "as many as the GPUs hold" };
    Ok(Decision::new(workers, why))
}

fn batch_size(descriptor: &dyn ImageEmbedderDescriptor, machine: Machine, devices: &[Device]) -> Decision<usize> {
    let most = descriptor.capability().max_batch_rows.unwrap_or(usize::MAX).max(1);
    if let Some(asked) = descriptor.options().batch_size {
        let asked = asked.get();
        return if asked <= most {
            Decision::new(asked, "asked for")
        } else {
            Decision::new(most, format!("{asked} was asked for, but the model takes at most {most} at once"))
        };
    }
    let on_gpu = devices.first().is_some_and(|d| d.is_gpu());
    let (per_core, least, largest) = CPU_BATCH;
    let usual = if on_gpu { GPU_BATCH } else { (per_core * machine.cpus.get()).clamp(least, largest) };
    let fits = match (descriptor.requirements().bytes_per_image, machine.memory) {
        (Some(image), Some(memory)) if !on_gpu => ((memory / MEMORY_SHARE / image.max(1)) as usize).max(1),
        _ => usize::MAX,
    };
    match usual.min(most).min(fits) {
        size if size == usual => {
            Decision::new(size, if on_gpu { "the default on a GPU" } else { "16 for each core, from 32 to 256" })
        }
        size if size == most => Decision::new(size, "the most that the model takes at once"),
        size => Decision::new(size, "what an eighth of the machine's memory holds"),
    }
}

/// Room for the usual bytes, but at least for two batches of pixels per worker, so that preparing overlaps the model.
fn waiting_bytes(input: &InputSpec, batch_size: usize, workers: usize) -> Decision<usize> {
    let InputSpec::Pixels(preprocess) = input else {
        return Decision::new(WAITING_BYTES, "the default");
    };
    let image = preprocess.max_output_bytes().unwrap_or_default() as usize;
    let two = 2 * workers.max(1) * batch_size * image;
    if two > WAITING_BYTES {
        Decision::new(two, "two batches of pixels per worker")
    } else {
        Decision::new(WAITING_BYTES, "the default")
    }
}

fn describe_input(input: &InputSpec) -> String {
    match input {
        InputSpec::Encoded { media_types } => format!("encoded files ({})", media_types.join(", ")),
        InputSpec::Pixels(preprocess) => preprocess.to_string(),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let devices = match self.devices.value.as_slice() {
            [] => "none".to_owned(),
            devices => devices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        let (mode, workers) = match self.execution {
            Execution::Blocking => ("blocking: model calls run on worker threads", "model workers"),
            Execution::Async => ("async: requests to a service", "requests in flight"),
        };
        let mut line = |name: &str, value: &dyn fmt::Display, why: &str| {
            let why = if why.is_empty() { String::new() } else { format!("({why})") };
            writeln!(f, "{name:<20}{:<16}{why}", value.to_string()).map(|()| ())
        };
        line("provider", &self.provider, "")?;
        line("model", &self.model, "")?;
        line("embedding", &format!("FixedSizeList<Float32, {}>", self.dimensions), "")?;
        line("mode", &mode, "")?;
        line("input", &self.input, "")?;
        line("devices", &devices, &self.devices.why)?;
        if self.gpus_per_worker.get() > 0.0 {
            line("GPUs per worker", &self.gpus_per_worker.get(), "num_gpus")?;
        }
        line(workers, &self.workers.value, &self.workers.why)?;
        line("batch size", &self.batch_size.value, &self.batch_size.why)?;
        line("prepare threads", &self.prepare_threads.value, &self.prepare_threads.why)?;
        if let Some(fetches) = self.fetches {
            line("fetched at once", &fetches, "images by address")?;
        }
        line("waiting at most", &format!("{} MiB", self.waiting_bytes.value >> 20), &self.waiting_bytes.why)?;
        line("retries", &self.max_retries, "for temporary failures only")?;
        line("rows that fail", &self.on_error, what_happens(self.on_error))?;
        if self.dedupe {
            let remembered = format!("up to {} MiB are remembered", REMEMBERED_BYTES >> 20);
            line("identical images", &"embedded once", &remembered)
        } else {
            line("identical images", &"embedded each", "dedupe = false")
        }
    }
}

fn what_happens(on_error: OnError) -> &'static str {
    match on_error {
        OnError::Raise => "the first one stops the run and is named",
        OnError::Log => "they become null, are reported and counted",
        OnError::Ignore => "they become null and are counted",
    }
}
