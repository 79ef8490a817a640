//! A model that misbehaves, before it is loaded.

use std::sync::Arc;

use imbed_core::{
    Capability, Device, EmbedOptions, Embedder, EmbeddingDimensions, Error, ErrorKind, Execution,
    ImageEmbedderDescriptor, InputSpec, Preprocess, Requirements, Result,
    image::Filter,
    options::Dtype,
    preprocess::{Normalize, Resize, ResizeTarget, Size},
};
use serde::{Deserialize, Serialize};

use super::{
    embedder::{FaultyModel, SIDE, WIDTH},
    fault::Fault,
};

/// The preprocessing of every model.
pub(super) fn preprocess() -> Preprocess {
    let target = ResizeTarget::Exact(Size { height: SIDE as u32, width: SIDE as u32 });
    Preprocess {
        resize: Some(Resize { target, filter: Filter::Bilinear }),
        center_crop: None,
        normalize: Normalize { scale: 1.0, mean: [0.0; 3], std: [1.0; 3] },
    }
}

#[derive(Debug, Clone)]
pub(super) struct FaultyDescriptor {
    fault: Fault,
    input: InputSpec,
    told: Told,
}

/// What travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Told {
    provider: String,
    model: String,
    remote: bool,
    options: EmbedOptions,
    process: u32,
}

impl FaultyDescriptor {
    pub(super) fn new(provider: &str, model: &str, fault: Fault, remote: bool, options: &EmbedOptions) -> Self {
        let (provider, model, options) = (provider.to_owned(), model.to_owned(), options.clone());
        Self::told(Told { provider, model, remote, options, process: std::process::id() }, fault)
    }

    fn told(told: Told, fault: Fault) -> Self {
        let input = if told.remote {
            InputSpec::Encoded { media_types: vec!["image/png".to_owned()] }
        } else {
            InputSpec::Pixels(preprocess())
        };
        Self { fault, input, told }
    }

    pub(super) fn restore(json: &serde_json::Value) -> Result<Self> {
        let mut told = Told::deserialize(json)
            .map_err(|e| Error::new(ErrorKind::Config, format!("this is no faulty descriptor: {e}")))?;
        let fault = Fault::of_model(&told.model).unwrap_or(Fault::None);
        if fault == Fault::KnowsItsProcessOnly && told.process != std::process::id() {
            return Err(Error::new(ErrorKind::Internal, "this descriptor was made in another process"));
        }
        if fault == Fault::LosesItsOptions {
            told.options = EmbedOptions::default();
        }
        Ok(Self::told(told, fault))
    }

    /// Refuses options that the model cannot honour.
    pub(super) fn check(&self) -> Result<()> {
        let options = &self.told.options;
        let refuse = |what: String| Err(Error::new(ErrorKind::BadOption, what).hint("leave it out"));
        if let Some(name) = options.extra.keys().find(|name| *name != "counter") {
            return refuse(format!("there is no option '{name}'"));
        }
        if let Some(cut) = options.dimensions.filter(|cut| cut.get() > WIDTH) {
            return refuse(format!("dimensions {cut} is more than the model's {WIDTH}"));
        }
        if let Some(size) = options.image_size.filter(|_| self.fault != Fault::TakesAnyImageSize) {
            return refuse(format!("image_size {size} cannot be had: this model reads {SIDE} x {SIDE}"));
        }
        match options.dtype {
            Some(dtype) if dtype != Dtype::F32 && self.fault != Fault::TakesAnyDtype => {
                refuse(format!("the dtype '{dtype}' cannot be computed"))
            }
            _ => Ok(()),
        }
    }
}

impl ImageEmbedderDescriptor for FaultyDescriptor {
    fn provider(&self) -> &str {
        &self.told.provider
    }
    fn model(&self) -> &str {
        &self.told.model
    }
    fn options(&self) -> &EmbedOptions {
        &self.told.options
    }
    fn dimensions(&self) -> EmbeddingDimensions {
        let size = self.told.options.dimensions.map_or(WIDTH, std::num::NonZeroUsize::get);
        EmbeddingDimensions::f32(size + usize::from(self.fault == Fault::AnnouncesAnotherWidth))
    }
    fn input(&self) -> &InputSpec {
        &self.input
    }
    fn execution(&self) -> Execution {
        if self.told.remote { Execution::Async } else { Execution::Blocking }
    }
    fn requirements(&self) -> Requirements {
        Requirements { weights_bytes: None, bytes_per_image: None, macs_per_image: None }
    }
    fn capability(&self) -> Capability {
        Capability {
            max_batch_rows: None,
            normalized: true,
            dimensions_override: self.fault != Fault::CutsAlthoughItCannot,
            deterministic: true,
            poolings: vec![],
            dtypes: vec![Dtype::F32],
            devices: vec!["cpu".to_owned()],
        }
    }
    fn weights_hash(&self) -> Result<Option<String>> {
        Ok(None)
    }
    fn to_json(&self) -> Result<serde_json::Value> {
        serde_json::to_value(&self.told).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))
    }
    fn instantiate(&self, device: Device) -> Result<Embedder> {
        if device != Device::Cpu && !self.told.remote && self.fault != Fault::TakesAnyDevice {
            let message = format!("the device {device} cannot be used: there is the processor only");
            return Err(Error::new(ErrorKind::Device, message).hint("use --device cpu"));
        }
        let model = Arc::new(FaultyModel::new(self.fault, &self.told.options));
        Ok(if self.told.remote { Embedder::Async(model) } else { Embedder::Blocking(model) })
    }
}
