//! One configured checkpoint, before its weights are read.

use std::sync::{Arc, Mutex};

use imbed_core::{
    Capability, Device, EmbedOptions, Embedder, EmbeddingDimensions, ImageEmbedderDescriptor, InputSpec, Requirements,
    Result,
};
use imbed_vision::CheckpointDescription;
use serde_json::{Map, Value};

use crate::{
    device::{self, failed},
    embedder::{Model, Reads, TorchEmbedder},
    input::Input,
    options::TorchOptions,
    tensors::TensorModel,
};

/// A checkpoint and the options to run it with.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointDescriptor(CheckpointDescription);

impl CheckpointDescriptor {
    /// Reads the configuration of `model`, and the names of its tensors where the weights are here.
    pub(crate) fn new(model: &str, options: &EmbedOptions) -> Result<Self> {
        TorchOptions::read_for_checkpoint(options)?;
        device::kind(options.dtype)?;
        CheckpointDescription::read(model, options).map(Self)
    }

    /// The descriptor that `json` tells of.
    pub(crate) fn restore(json: &Value) -> Result<Self> {
        CheckpointDescription::restore(crate::NAME, json).map(Self)
    }
}

impl ImageEmbedderDescriptor for CheckpointDescriptor {
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
        let architecture = self.0.architecture();
        Capability {
            max_batch_rows: None,
            normalized: architecture.normalized,
            dimensions_override: true,
            // libtorch chooses kernels by the size of the batch: the last bits differ.
            deterministic: false,
            poolings: architecture.poolings.clone(),
            dtypes: device::DTYPES.to_vec(),
            devices: device::families(),
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
        let options = TorchOptions::read_for_checkpoint(self.0.options())?;
        let torch = device::open(device)?;
        let kind = device::kind(self.0.options().dtype)?;
        let model = TensorModel::new(self.0.load()?, torch, kind).map_err(|e| failed(e).context(self.0.model()))?;
        Ok(Embedder::Blocking(Arc::new(TorchEmbedder {
            model: Mutex::new(Model::Checkpoint(Box::new(model))),
            input: Input::new(torch, kind, self.0.normalize()?, false),
            reads: Reads::Checkpoint(self.0.architecture().clone()),
            device,
            threads: options.threads(),
        })))
    }
}
