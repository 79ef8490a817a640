//! A loaded model of either kind: batches in, vectors out.

use std::sync::{Mutex, PoisonError};

use imbed_core::{BlockingImageEmbedder, Device, ImageBatch, PixelBatch, Result, readout::Form};
use imbed_vision::{Architecture, each_size, embed_by_size};
use tch::{Kind, Tensor};

use crate::{
    device::failed,
    inference_mode::InferenceMode,
    input::Input,
    script::{Readout, Script},
    tensors::TensorModel,
};

/// Images that go to a GPU at a time, at least: while it computes with some, the next are on their way.
const GPU_PASS: usize = 32;

/// A model on a device.
#[derive(Debug)]
pub(crate) struct TorchEmbedder {
    /// libtorch's tensors may be used by one thread at a time. On the processor a call uses every core by itself, and on a
    /// GPU the lock is held while work is handed over, not while it is done.
    pub(crate) model: Mutex<Model>,
    pub(crate) input: Input,
    pub(crate) reads: Reads,
    pub(crate) device: Device,
    /// Of one call on the processor; `None` leaves it to libtorch.
    pub(crate) threads: Option<i32>,
}

/// What runs.
#[derive(Debug)]
pub(crate) enum Model {
    /// A checkpoint of a known family.
    Checkpoint(Box<TensorModel>),
    /// A `TorchScript` program.
    Script(Script),
}

/// What pixels are read, and what vectors they become.
#[derive(Debug)]
pub(crate) enum Reads {
    /// Those of the architecture, and its own vectors.
    Checkpoint(Architecture),
    /// Any, and what is read out of what a program gives.
    Script(Readout),
}

impl TorchEmbedder {
    /// One vector per image of `pixels`, which have this size.
    fn run(&self, pixels: &PixelBatch, size: (usize, usize), out: &mut [f32]) -> Result<()> {
        let _mode = InferenceMode::enter();
        let images = pixels.len();
        let pass = if self.device.is_gpu() { images.div_ceil(2).max(GPU_PASS) } else { images };
        let mut given = Vec::new();
        for first in (0..images).step_by(pass) {
            let last = images.min(first + pass);
            let part = (last - first < images).then(|| pixels.slice(first..last));
            let x = self.input.put(part.as_ref().unwrap_or(pixels), size).map_err(failed)?;
            given.push(self.forward(&x)?);
        }
        let given = match given.as_slice() {
            [one] => one.shallow_clone(),
            several => Tensor::f_cat(several, 0).map_err(failed)?,
        };
        self.read(&given, out)
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        // A panic while it was held leaves nothing half done in the weights.
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(threads), Device::Cpu) = (self.threads, self.device) {
            tch::set_num_threads(threads);
        }
        match &mut *model {
            Model::Checkpoint(model) => model.forward(x).map_err(failed),
            Model::Script(script) => script.forward(x),
        }
    }

    /// Waits for what was computed, and makes one vector per image of it.
    fn read(&self, given: &Tensor, out: &mut [f32]) -> Result<()> {
        let shape: Vec<usize> = given.size().iter().map(|n| usize::try_from(*n).unwrap_or_default()).collect();
        let here = given.f_to_device_(tch::Device::Cpu, Kind::Float, false, false).and_then(|t| t.f_contiguous());
        let here = here.map_err(failed)?;
        let mut values = vec![0.0; here.numel()];
        here.f_copy_data(&mut values, here.numel()).map_err(failed)?;
        let width = self.width();
        match &self.reads {
            Reads::Checkpoint(_) => Form::Vector.read("of the model", &values, &shape, width, out),
            Reads::Script(readout) => readout.read(&values, &shape, out),
        }
    }
}

impl BlockingImageEmbedder for TorchEmbedder {
    fn width(&self) -> usize {
        match &self.reads {
            Reads::Checkpoint(shape) => shape.width(),
            Reads::Script(readout) => readout.width,
        }
    }

    fn device(&self) -> Device {
        self.device
    }

    fn embed(&self, batch: ImageBatch<'_>, out: &mut [f32]) -> Result<()> {
        let run = |pixels: &PixelBatch, size, out: &mut [f32]| self.run(pixels, size, out);
        match &self.reads {
            Reads::Checkpoint(shape) => embed_by_size(crate::NAME, shape, batch, out, run),
            Reads::Script(readout) => each_size(crate::NAME, readout.width, batch, out, run),
        }
    }
}
