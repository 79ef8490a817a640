//! One configured model, before its weights are read.

use std::sync::Arc;

use imbed_core::{
    Capability, Device, DeviceRequest, EmbedOptions, Embedder, EmbeddingDimensions, Error, ErrorKind,
    ImageEmbedderDescriptor, InputSpec, Preprocess, Requirements, Result,
    options::Dtype,
    preprocess::{ResizeTarget, from_preprocessor_config},
};
use serde::{Deserialize, Serialize};

use crate::{
    architecture::{Architecture, ImageShape, StemShape},
    device,
    embedder::CandleEmbedder,
    families,
    source::Source,
};

/// A checkpoint and the options to run it with.
///
/// Serialised, it carries what was read from the configuration, so that restoring it touches no file; the weights must
/// stand at the same path wherever it is instantiated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CandleDescriptor {
    /// As the user named it.
    model: String,
    source: Source,
    options: EmbedOptions,
    architecture: Architecture,
    input: InputSpec,
    /// Size of the weight files.
    weights_bytes: u64,
}

impl CandleDescriptor {
    /// Reads the configuration of `model`, and the names of its tensors.
    pub(crate) fn new(model: &str, options: &EmbedOptions) -> Result<Self> {
        let source = Source::find(model)?;
        let config = source.config()?;
        let checkpoint = source.weights()?;
        let architecture = families::describe(&config, &|name| checkpoint.contains(name), options.pooling)
            .map_err(|e| e.context(model))?;
        let preprocess = from_preprocessor_config(&source.preprocessor()?).map_err(|e| e.context(model))?;
        let preprocess = match options.image_size {
            Some(side) => preprocess.with_image_size(side.get()).map_err(|e| e.context(model))?,
            None => preprocess,
        };
        let architecture =
            fitted(architecture, &preprocess, options.image_size.is_some()).map_err(|e| e.context(model))?;
        check_options(&architecture, options)?;
        Ok(Self {
            model: model.to_owned(),
            source,
            options: options.clone(),
            architecture,
            input: InputSpec::Pixels(preprocess),
            weights_bytes: checkpoint.bytes(),
        })
    }

    /// The descriptor that `json` tells of.
    pub(crate) fn restore(json: &serde_json::Value) -> Result<Self> {
        let restored: Self = Self::deserialize(json).map_err(|e| {
            Error::new(ErrorKind::Config, format!("a candle descriptor cannot be restored: {e}"))
                .hint("both ends must run the same version of imbed")
        })?;
        // It came over a wire: nothing about it is taken on trust.
        Ok(Self { architecture: restored.architecture.checked()?, ..restored })
    }
}

/// The architecture for what the preprocessor makes, of a size that the user asked for or of the checkpoint's own.
fn fitted(architecture: Architecture, preprocess: &Preprocess, asked: bool) -> Result<Architecture> {
    let wrong = |message: &str| {
        Err(Error::new(ErrorKind::Model, message).hint("compare both files with the published checkpoint's"))
    };
    let patches = match preprocess.resize.map(|resize| resize.target) {
        Some(ResizeTarget::Patches { patch, max_patches }) => Some((patch as usize, max_patches as usize)),
        _ => None,
    };
    match (architecture.image, patches, preprocess.output_size()) {
        (ImageShape::Patches(_), Some((patch, most)), _) => {
            if architecture.stem != StemShape::Patches(patch, patch) {
                return wrong("preprocessor_config.json and config.json have patches of different sizes");
            }
            Architecture { image: ImageShape::Patches(most), ..architecture }.checked()
        }
        (ImageShape::Patches(_), None, _) => {
            wrong("preprocessor_config.json makes images of one size, the model reads patches in any proportion")
        }
        (ImageShape::Fixed(..), _, Some(size)) => {
            architecture.for_images((size.height as usize, size.width as usize), asked)
        }
        (ImageShape::Fixed(..), _, None) => {
            wrong("preprocessor_config.json makes images of many sizes, the model reads one")
        }
    }
}

fn check_options(architecture: &Architecture, options: &EmbedOptions) -> Result<()> {
    let width = architecture.width();
    if let Some(cut) = options.dimensions
        && cut.get() > width
    {
        return Err(Error::new(ErrorKind::BadOption, format!("dimensions {cut} is more than the model's {width}"))
            .hint(format!("give 1 to {width}, or leave the option out")));
    }
    if let Some(name) = options.extra.keys().next() {
        return Err(Error::new(ErrorKind::BadOption, format!("the provider candle has no option '{name}'"))
            .hint("see `imbed providers` for the options of each"));
    }
    device::check_dtype(options.dtype, device::families())
}

impl ImageEmbedderDescriptor for CandleDescriptor {
    fn provider(&self) -> &'static str {
        crate::NAME
    }

    fn model(&self) -> &str {
        &self.model
    }

    fn options(&self) -> &EmbedOptions {
        &self.options
    }

    fn dimensions(&self) -> EmbeddingDimensions {
        let width = self.architecture.width();
        EmbeddingDimensions::f32(self.options.dimensions.map_or(width, |cut| cut.get().min(width)))
    }

    fn input(&self) -> &InputSpec {
        &self.input
    }

    fn requirements(&self) -> Requirements {
        self.architecture.requirements(self.weights_bytes)
    }

    fn capability(&self) -> Capability {
        Capability {
            max_batch_rows: None,
            normalized: self.architecture.normalized,
            dimensions_override: true,
            // The libraries of GPU vendors choose their kernels by the size of the batch.
            deterministic: device::families() == ["cpu"] || self.options.device == DeviceRequest::Exact(Device::Cpu),
            poolings: self.architecture.poolings.clone(),
            dtypes: if device::families().len() > 1 {
                vec![Dtype::F32, Dtype::Bf16, Dtype::F16]
            } else {
                vec![Dtype::F32]
            },
            devices: device::families().iter().map(ToString::to_string).collect(),
        }
    }

    fn weights_hash(&self) -> Result<Option<String>> {
        Ok(Some(self.source.weights()?.hash()))
    }

    fn recipe(&self) -> Result<serde_json::Map<String, serde_json::Value>> {
        let mut model = serde_json::to_value(&self.architecture).map_err(|e| {
            Error::new(ErrorKind::Internal, format!("the architecture of {}: {e}", self.model)).source(e)
        })?;
        if let Some(model) = model.as_object_mut() {
            // What could have been chosen decides nothing.
            model.remove("poolings");
        }
        Ok([("model".to_owned(), model)].into_iter().collect())
    }

    fn to_json(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("the descriptor of {}: {e}", self.model)).source(e))
    }

    fn instantiate(&self, device: Device) -> Result<Embedder> {
        device::check_dtype(self.options.dtype, &[device.family()])?;
        let candle = device::open(device)?;
        let InputSpec::Pixels(preprocess) = &self.input else {
            return Err(Error::new(ErrorKind::Internal, "a descriptor of candle that does not want pixels"));
        };
        let model = families::load(&self.architecture, self.source.weights()?).map_err(|e| e.context(&self.model))?;
        let dtype = self.options.dtype.unwrap_or(Dtype::F32);
        let embedder = CandleEmbedder::new(model, preprocess.normalize, device, &candle, dtype)
            .map_err(|e| e.context(&self.model))?;
        Ok(Embedder::Blocking(Arc::new(embedder)))
    }
}
