//! One configured checkpoint, before its weights are read.

use imbed_core::{
    EmbedOptions, EmbeddingDimensions, Error, ErrorKind, InputSpec, ModelInfo, Preprocess, Requirements, Result,
    preprocess::{Normalize, ResizeTarget, from_preprocessor_config},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    architecture::{Architecture, ImageShape, StemShape},
    families,
    model::VisionTransformer,
    source::{BUILTIN, Source},
    weights::Checkpoint,
};

/// A checkpoint and the options to run it with: what a provider's descriptor is made of.
///
/// Serialised, it carries what was read from the configuration, so that restoring it touches no file. Wherever it is
/// loaded, a folder's weights must stand at the same path, and a hub model's in that machine's cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CheckpointDescription {
    /// As the user named it.
    model: String,
    source: Source,
    options: EmbedOptions,
    architecture: Architecture,
    input: InputSpec,
    /// Size of the weight files, where they are here.
    weights_bytes: Option<u64>,
}

impl CheckpointDescription {
    /// Reads the configuration of `model`, and the names of its tensors where the weights are here.
    ///
    /// The options that every provider has are held against the model; a provider's own, the device and the number type are
    /// the provider's affair.
    pub fn read(model: &str, options: &EmbedOptions) -> Result<Self> {
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
        check_dimensions(&architecture, options)?;
        Ok(Self {
            model: model.to_owned(),
            source,
            options: options.clone(),
            architecture,
            input: InputSpec::Pixels(preprocess),
            weights_bytes: checkpoint.map(|checkpoint| checkpoint.bytes()),
        })
    }

    /// The description that `json` tells of, as a provider's descriptor was serialised. It came over a wire, so nothing about
    /// it is taken on trust. `provider` is named where it cannot be read.
    pub fn restore(provider: &str, json: &Value) -> Result<Self> {
        let broken = |why: String| {
            Error::new(ErrorKind::Config, format!("a {provider} descriptor cannot be restored: {why}"))
                .hint("both ends must run the same version of imbed")
        };
        let restored = Self::deserialize(json).map_err(|e| broken(e.to_string()))?;
        if !matches!(restored.input, InputSpec::Pixels(_)) {
            return Err(broken("it does not want pixels".to_owned()));
        }
        Ok(Self { architecture: restored.architecture.checked()?, ..restored })
    }

    /// What a provider of checkpoints lists under [`models`](imbed_core::Provider::models): the built-in one.
    pub fn builtin_models() -> Vec<ModelInfo> {
        let Ok(tiny) = Self::read(BUILTIN, &EmbedOptions::default()) else { return vec![] };
        vec![ModelInfo {
            name: BUILTIN.to_owned(),
            dimensions: tiny.dimensions().size,
            summary: "a small vision transformer inside the program: no files, no network, fast on any CPU".to_owned(),
            builtin: true,
        }]
    }

    /// The model, as the user named it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// The options that it was read with.
    pub fn options(&self) -> &EmbedOptions {
        &self.options
    }

    /// The shape of the model.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The recipe of the pixels that it wants.
    pub fn input(&self) -> &InputSpec {
        &self.input
    }

    /// The arithmetic between a pixel's byte and the model's number.
    pub fn normalize(&self) -> Result<Normalize> {
        Ok(self.preprocess()?.normalize)
    }

    /// The shape of the vectors that reach the user, after any cut by the option `dimensions`.
    pub fn dimensions(&self) -> EmbeddingDimensions {
        let width = self.architecture.width();
        EmbeddingDimensions::f32(self.options.dimensions.map_or(width, |cut| cut.get().min(width)))
    }

    /// What one loaded copy takes.
    pub fn requirements(&self) -> Requirements {
        let requirements = self.architecture.requirements(self.weights_bytes.unwrap_or_default());
        Requirements { weights_bytes: self.weights_bytes, ..requirements }
    }

    /// A hash of the weight files' bytes, all of which are read for it.
    pub fn weights_hash(&self) -> Result<String> {
        Ok(self.source.weights()?.hash())
    }

    /// What decides the vectors beside weights and options: the numbers of the architecture.
    pub fn recipe(&self) -> Result<Map<String, Value>> {
        let mut model = serde_json::to_value(&self.architecture).map_err(|e| {
            Error::new(ErrorKind::Internal, format!("the architecture of {}: {e}", self.model)).source(e)
        })?;
        if let Some(model) = model.as_object_mut() {
            // What could have been chosen decides nothing.
            model.remove("poolings");
        }
        Ok([("model".to_owned(), model)].into_iter().collect())
    }

    /// The description as JSON, for [`restore`](Self::restore).
    pub fn to_json(&self) -> Result<Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("the descriptor of {}: {e}", self.model)).source(e))
    }

    /// Reads the weights, which must be those that were planned with.
    pub fn load(&self) -> Result<VisionTransformer> {
        let load = || {
            let weights = self.source.weights()?;
            self.check_weights(&weights)?;
            families::load(&self.architecture, weights)
        };
        load().map_err(|e| e.context(&self.model))
    }

    fn preprocess(&self) -> Result<&Preprocess> {
        match &self.input {
            InputSpec::Pixels(preprocess) => Ok(preprocess),
            InputSpec::Encoded { .. } => {
                Err(Error::new(ErrorKind::Internal, "a description of a checkpoint that does not want pixels"))
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

fn check_dimensions(architecture: &Architecture, options: &EmbedOptions) -> Result<()> {
    let width = architecture.width();
    match options.dimensions {
        Some(cut) if cut.get() > width => {
            Err(Error::new(ErrorKind::BadOption, format!("dimensions {cut} is more than the model's {width}"))
                .hint(format!("give 1 to {width}, or leave the option out")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fixture(name: &str) -> CheckpointDescription {
        // Those of the provider that the checkpoints are first run by.
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../provider-candle/tests/fixtures");
        let folder = std::path::Path::new(fixtures).join(name);
        CheckpointDescription::read(folder.to_str().unwrap(), &EmbedOptions::default()).unwrap()
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
        let descriptor = CheckpointDescription { architecture: without_pooler, weights_bytes: None, ..whole };
        let error = descriptor.load().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.message().contains("config.json alone"), "{error}");
        assert!(error.message().contains("pooler") && error.message().contains("cls"), "{error}");
    }
}
