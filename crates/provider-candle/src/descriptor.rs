//! One configured model, before its weights are read.

use std::sync::Arc;

use imbed_core::{
    Capability, Device, DeviceRequest, EmbedOptions, Embedder, EmbeddingDimensions, Error, ErrorKind,
    ImageEmbedderDescriptor, InputSpec, Preprocess, Requirements, Result,
    options::Dtype,
    preprocess::{ResizeTarget, from_preprocessor_config},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    architecture::{Architecture, ImageShape, StemShape},
    device,
    embedder::CandleEmbedder,
    families,
    source::Source,
    weights::Checkpoint,
};

/// A checkpoint and the options to run it with.
///
/// Serialised, it carries what was read from the configuration, so that restoring it touches no file. Wherever it is
/// instantiated, a folder's weights must stand at the same path, and a hub model's in that machine's cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CandleDescriptor {
    /// As the user named it.
    model: String,
    source: Source,
    options: EmbedOptions,
    architecture: Architecture,
    input: InputSpec,
    /// Size of the weight files, where they are here.
    weights_bytes: Option<u64>,
}

impl CandleDescriptor {
    /// Reads the configuration of `model`, and the names of its tensors where the weights are here.
    pub(crate) fn new(model: &str, options: &EmbedOptions) -> Result<Self> {
        let source = Source::find(model)?;
        let config = source.config()?;
        let checkpoint = source.weights_if_here()?;
        let preprocess = from_preprocessor_config(&source.preprocessor()?).map_err(|e| e.context(model))?;
        let preprocess = match options.image_size {
            Some(side) => preprocess.with_image_size(side.get()).map_err(|e| e.context(model))?,
            None => preprocess,
        };
        let architecture =
            describe(&config, checkpoint.as_ref(), &preprocess, options).map_err(|e| e.context(model))?;
        check_options(&architecture, options)?;
        Ok(Self {
            model: model.to_owned(),
            source,
            options: options.clone(),
            architecture,
            input: InputSpec::Pixels(preprocess),
            weights_bytes: checkpoint.map(|checkpoint| checkpoint.bytes()),
        })
    }

    /// The descriptor that `json` tells of.
    pub(crate) fn restore(json: &Value) -> Result<Self> {
        let restored: Self = Self::deserialize(json).map_err(|e| {
            Error::new(ErrorKind::Config, format!("a candle descriptor cannot be restored: {e}"))
                .hint("both ends must run the same version of imbed")
        })?;
        // It came over a wire: nothing about it is taken on trust.
        Ok(Self { architecture: restored.architecture.checked()?, ..restored })
    }

    fn preprocess(&self) -> Result<&Preprocess> {
        match &self.input {
            InputSpec::Pixels(preprocess) => Ok(preprocess),
            InputSpec::Encoded { .. } => {
                Err(Error::new(ErrorKind::Internal, "a descriptor of candle that does not want pixels"))
            }
        }
    }

    /// What was planned without the weights must be what they are.
    fn check_weights(&self, weights: &Checkpoint) -> Result<()> {
        if self.weights_bytes.is_some() {
            return Ok(());
        }
        let found = describe(&self.source.config()?, Some(weights), self.preprocess()?, &self.options)?;
        if found == self.architecture {
            return Ok(());
        }
        let (planned, width) = (self.architecture.width(), found.width());
        let message = format!(
            "the weights are another model than config.json alone makes believe: {planned} numbers by {} were planned, \
             {width} by {} are there",
            self.architecture.pooling, found.pooling
        );
        Err(Error::new(ErrorKind::Model, message)
            .hint("describe the model again, now that its weights are here; or choose the pooling by name"))
    }
}

/// The architecture for what `preprocess` makes, with the parts that the weights have; or, where they are not here yet, those
/// that a checkpoint of the class in `config.json` has.
fn describe(
    config: &Value,
    checkpoint: Option<&Checkpoint>,
    preprocess: &Preprocess,
    options: &EmbedOptions,
) -> Result<Architecture> {
    let architecture = match checkpoint {
        Some(checkpoint) => families::describe(config, &|name| checkpoint.contains(name), options.pooling),
        None => families::describe(config, &|name| is_usual(config, name), options.pooling),
    }?;
    fitted(architecture, preprocess, options.image_size.is_some())
}

/// Whether checkpoints of the class that `config.json` names have the tensor `name`, as `transformers` saves them.
fn is_usual(config: &Value, name: &str) -> bool {
    let classes = config.get("architectures").and_then(Value::as_array);
    let mut classes = classes.into_iter().flatten().filter_map(Value::as_str);
    if name.contains("projection.") {
        classes.any(|class| class.ends_with("WithProjection"))
    } else if name.contains("pooler.") {
        // A bare encoder has a pooler; a class for a task, such as `ViTForImageClassification`, has its own head.
        classes.any(|class| class.ends_with("Model"))
    } else {
        false
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
        let requirements = self.architecture.requirements(self.weights_bytes.unwrap_or_default());
        Requirements { weights_bytes: self.weights_bytes, ..requirements }
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

    fn recipe(&self) -> Result<serde_json::Map<String, Value>> {
        let mut model = serde_json::to_value(&self.architecture).map_err(|e| {
            Error::new(ErrorKind::Internal, format!("the architecture of {}: {e}", self.model)).source(e)
        })?;
        if let Some(model) = model.as_object_mut() {
            // What could have been chosen decides nothing.
            model.remove("poolings");
        }
        Ok([("model".to_owned(), model)].into_iter().collect())
    }

    fn to_json(&self) -> Result<Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("the descriptor of {}: {e}", self.model)).source(e))
    }

    fn instantiate(&self, device: Device) -> Result<Embedder> {
        device::check_dtype(self.options.dtype, &[device.family()])?;
        let candle = device::open(device)?;
        let preprocess = self.preprocess()?;
        let weights = self.source.weights().map_err(|e| e.context(&self.model))?;
        self.check_weights(&weights).map_err(|e| e.context(&self.model))?;
        let model = families::load(&self.architecture, weights).map_err(|e| e.context(&self.model))?;
        let dtype = self.options.dtype.unwrap_or(Dtype::F32);
        let embedder = CandleEmbedder::new(model, preprocess.normalize, device, &candle, dtype)
            .map_err(|e| e.context(&self.model))?;
        Ok(Embedder::Blocking(Arc::new(embedder)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fixture(name: &str) -> CandleDescriptor {
        let folder: std::path::PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name].iter().collect();
        CandleDescriptor::new(folder.to_str().unwrap(), &EmbedOptions::default()).unwrap()
    }

    #[test]
    fn the_configuration_alone_tells_the_dimensions_that_the_weights_have() {
        for name in [
            "clip",
            "clip-vision-f16",
            "clip-vision-bare",
            "vit",
            "vit-bf16-sharded",
            "siglip",
            "siglip2-naflex",
            "dinov2",
            "dinov3",
            "aimv2-lit",
            "open-clip",
        ] {
            let descriptor = fixture(name);
            let config = descriptor.source.config().unwrap();
            let planned = describe(&config, None, descriptor.preprocess().unwrap(), &EmbedOptions::default()).unwrap();
            assert_eq!(planned.width(), descriptor.architecture.width(), "{name}");
        }
    }

    #[test]
    fn a_class_for_a_task_has_no_pooler_and_a_class_with_projection_has_one() {
        let has = |class: &str, tensor: &str| is_usual(&json!({ "architectures": [class] }), tensor);
        assert!(has("ViTModel", "pooler.dense.weight"));
        assert!(!has("ViTForImageClassification", "vit.pooler.dense.weight"));
        assert!(has("CLIPVisionModelWithProjection", "visual_projection.weight"));
        assert!(!has("CLIPVisionModel", "visual_projection.weight"));
        assert!(!is_usual(&json!({}), "pooler.dense.weight"));
    }

    #[test]
    fn weights_that_are_another_model_than_was_planned_are_an_error_that_says_so() {
        let whole = fixture("vit");
        let planned = describe(
            &json!({ "architectures": ["ViTForImageClassification"] }),
            None,
            whole.preprocess().unwrap(),
            &whole.options,
        );
        assert!(planned.is_err(), "no model_type");
        let mut config = whole.source.config().unwrap();
        config["architectures"] = json!(["ViTForImageClassification"]);
        let without_pooler = describe(&config, None, whole.preprocess().unwrap(), &whole.options).unwrap();
        let descriptor = CandleDescriptor { architecture: without_pooler, weights_bytes: None, ..whole };
        let error = descriptor.instantiate(Device::Cpu).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.message().contains("config.json alone"), "{error}");
        assert!(error.message().contains("pooler") && error.message().contains("cls"), "{error}");
    }
}
