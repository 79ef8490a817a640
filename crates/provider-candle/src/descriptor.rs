//! One configured model, before its weights are read.

use std::sync::Arc;

use imbed_core::{
    Capability, Device, DeviceRequest, EmbedOptions, Embedder, EmbeddingDimensions, Error, ErrorKind,
    ImageEmbedderDescriptor, InputSpec, Requirements, Result, options::Dtype,
};
use imbed_vision::CheckpointDescription;
use serde_json::{Map, Value};

use crate::{device, embedder::CandleEmbedder};

/// A checkpoint and the options to run it with.
#[derive(Debug, Clone)]
pub(crate) struct CandleDescriptor(CheckpointDescription);

impl CandleDescriptor {
    /// Reads the configuration of `model`, and the names of its tensors where the weights are here.
    pub(crate) fn new(model: &str, options: &EmbedOptions) -> Result<Self> {
        let described = CheckpointDescription::read(model, options)?;
        check_options(options)?;
        Ok(Self(described))
    }

    /// The descriptor that `json` tells of.
    pub(crate) fn restore(json: &Value) -> Result<Self> {
        CheckpointDescription::restore(crate::NAME, json).map(Self)
    }
}

fn check_options(options: &EmbedOptions) -> Result<()> {
    if let Some(name) = options.extra.keys().next() {
        return Err(Error::new(ErrorKind::BadOption, format!("the provider candle has no option '{name}'"))
            .hint("see `imbed providers` for the options of each"));
    }
    device::check_dtype(options.dtype, device::families())
}

/// Those of all devices of this build, each once.
fn dtypes() -> Vec<Dtype> {
    let mut all = Vec::new();
    for dtype in device::families().iter().flat_map(|family| device::dtypes(family)) {
        if !all.contains(dtype) {
            all.push(*dtype);
        }
    }
    all
}

impl ImageEmbedderDescriptor for CandleDescriptor {
    fn provider(&self) -> &'static str {
        crate::NAME
    }

    fn model(&self) -> &str {
        self.0.model()
    }

    fn options(&self) -> &EmbedOptions {
        self.0.options()
    }

    fn dimensions(&self) -> EmbeddingDimensions {
        self.0.dimensions()
    }

    fn input(&self) -> &InputSpec {
        self.0.input()
    }

    fn requirements(&self) -> Requirements {
        self.0.requirements()
    }

    fn capability(&self) -> Capability {
        let (architecture, options) = (self.0.architecture(), self.0.options());
        Capability {
            max_batch_rows: None,
            normalized: architecture.normalized,
            dimensions_override: true,
            // The libraries of GPU vendors choose their kernels by the size of the batch.
            deterministic: device::families() == ["cpu"] || options.device == DeviceRequest::Exact(Device::Cpu),
            poolings: architecture.poolings.clone(),
            dtypes: dtypes(),
            devices: device::families().iter().map(ToString::to_string).collect(),
        }
    }

    fn weights_hash(&self) -> Result<Option<String>> {
        self.0.weights_hash().map(Some)
    }

    fn recipe(&self) -> Result<Map<String, Value>> {
        self.0.recipe()
    }

    fn to_json(&self) -> Result<Value> {
        self.0.to_json()
    }

    fn instantiate(&self, device: Device) -> Result<Embedder> {
        let options = self.0.options();
        device::check_dtype(options.dtype, &[device.family()])?;
        let candle = device::open(device)?;
        let dtype = options.dtype.unwrap_or(Dtype::F32);
        let embedder = match device {
            Device::Cpu => CandleEmbedder::on_cpu(&self.0, dtype),
            Device::Cuda(_) | Device::Metal(_) => CandleEmbedder::on_gpu(&self.0, device, &candle, dtype),
        };
        Ok(Embedder::Blocking(Arc::new(embedder.map_err(|e| e.context(self.0.model()))?)))
    }
}
