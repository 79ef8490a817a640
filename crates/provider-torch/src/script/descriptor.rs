//! One configured `TorchScript` file, before it is loaded.

use std::sync::{Arc, Mutex};

use imbed_core::{
    Capability, Device, EmbedOptions, Embedder, EmbeddingDimensions, Error, ErrorKind, ImageBatch,
    ImageEmbedderDescriptor, InputSpec, PixelBatch, Preprocess, Requirements, Result,
    readout::{OUTPUTS, is_plausible_width, width_in_config},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Readout, Script, ScriptFile};
use crate::{
    device,
    embedder::{Model, Reads, TorchEmbedder},
    input::Input,
    options::{ScriptOptions, TorchOptions},
};

/// A program and the options to run it with.
///
/// Serialised, it carries what was read beside the file, so that restoring it touches none; the file must stand at the same
/// path wherever it is instantiated.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ScriptDescriptor {
    /// As the user named it.
    model: String,
    file: ScriptFile,
    options: EmbedOptions,
    readout: Readout,
    input: InputSpec,
    weights_bytes: u64,
}

impl ScriptDescriptor {
    /// Reads what stands beside the file of `model`; the file itself says nothing before it runs.
    pub(crate) fn new(model: &str, options: &EmbedOptions) -> Result<Self> {
        let file = ScriptFile::find(model)?;
        let own = TorchOptions::read(options)?.script;
        device::kind(options.dtype)?;
        let named = |e: Error| e.context(file.path().display());
        let config = file.config("config.json")?;
        let width = width(&own, config.as_ref()).map_err(named)?;
        check_dimensions(width, options).map_err(named)?;
        let preprocessor = file.config("preprocessor_config.json")?;
        let mut recipe = own.recipe.recipe(preprocessor.as_ref(), true).map_err(named)?;
        if let Some(side) = options.image_size {
            recipe = recipe.with_image_size(side.get()).map_err(named)?;
        }
        let readout = Readout::new(width, options.pooling, own.prefix_tokens, config.as_ref());
        readout.check().map_err(named)?;
        let weights_bytes = file.bytes()?;
        let input = InputSpec::Pixels(recipe);
        Ok(Self { model: model.to_owned(), file, options: options.clone(), readout, input, weights_bytes })
    }

    /// The descriptor that `json` tells of.
    pub(crate) fn restore(json: &Value) -> Result<Self> {
        let broken = |why: String| {
            Error::new(ErrorKind::Config, format!("a torch descriptor cannot be restored: {why}"))
                .hint("both ends must run the same version of imbed")
        };
        let restored = Self::deserialize(json).map_err(|e| broken(e.to_string()))?;
        // It came over a wire: nothing that is divided by or allocated is taken on trust.
        let whole = is_plausible_width(restored.readout.width) && matches!(restored.input, InputSpec::Pixels(_));
        if whole { Ok(restored) } else { Err(broken("its numbers make no sense".to_owned())) }
    }

    fn recipe(&self) -> Result<&Preprocess> {
        match &self.input {
            InputSpec::Pixels(recipe) => Ok(recipe),
            InputSpec::Encoded { .. } => {
                Err(Error::new(ErrorKind::Internal, "a descriptor of torch that does not want pixels"))
            }
        }
    }
}

/// The option's width, or that of `config.json`: the projection's, where it has one.
fn width(own: &ScriptOptions, config: Option<&Value>) -> Result<usize> {
    let projected = own.output.as_deref().is_none_or(|output| output == OUTPUTS[0]);
    let from_config = || {
        let projection = if projected { width_in_config(true, config) } else { None };
        projection.or_else(|| width_in_config(false, config))
    };
    own.embedding_width.or_else(from_config).filter(|width| is_plausible_width(*width)).ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "a TorchScript file does not say how many numbers a vector has")
            .hint("say it: --option embedding_width=N; or put the model's config.json beside the file")
    })
}

fn check_dimensions(width: usize, options: &EmbedOptions) -> Result<()> {
    match options.dimensions {
        Some(cut) if cut.get() > width => {
            Err(Error::new(ErrorKind::BadOption, format!("dimensions {cut} is more than the model's {width}"))
                .hint(format!("give 1 to {width}, or leave the option out")))
        }
        _ => Ok(()),
    }
}

impl ImageEmbedderDescriptor for ScriptDescriptor {
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
        let width = self.readout.width;
        EmbeddingDimensions::f32(self.options.dimensions.map_or(width, |cut| cut.get().min(width)))
    }

    fn input(&self) -> &InputSpec {
        &self.input
    }

    fn requirements(&self) -> Requirements {
        Requirements { weights_bytes: Some(self.weights_bytes), bytes_per_image: None, macs_per_image: None }
    }

    fn capability(&self) -> Capability {
        Capability {
            max_batch_rows: None,
            normalized: false,
            dimensions_override: true,
            // libtorch chooses kernels by the size of the batch: the last bits differ.
            deterministic: false,
            poolings: self.readout.poolings(),
            dtypes: device::DTYPES.to_vec(),
            devices: device::families(),
        }
    }

    fn weights_hash(&self) -> Result<Option<String>> {
        self.file.hash().map(Some)
    }

    fn to_json(&self) -> Result<Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("the descriptor of {}: {e}", self.model)).source(e))
    }

    fn instantiate(&self, device: Device) -> Result<Embedder> {
        let own = TorchOptions::read(&self.options)?;
        let (torch, recipe) = (device::open(device)?, self.recipe()?);
        let kind = device::kind(self.options.dtype)?;
        let named = |e: Error| e.context(self.file.path().display());
        let script = Script::open(self.file.path(), torch, kind, own.script.output.clone()).map_err(named)?;
        let embedder = TorchEmbedder {
            model: Mutex::new(Model::Script(script)),
            input: Input::new(torch, kind, recipe.normalize, own.script.bgr),
            reads: Reads::Script(self.readout.clone()),
            device,
            threads: own.threads(),
        };
        try_one(&embedder, recipe, self.readout.width).map_err(named)?;
        Ok(Embedder::Blocking(Arc::new(embedder)))
    }
}

/// Runs one black image, so that a program that is not what was planned says so now. Of a recipe without a size, the first
/// batch finds out.
fn try_one(embedder: &TorchEmbedder, recipe: &Preprocess, width: usize) -> Result<()> {
    use imbed_core::BlockingImageEmbedder;

    let Some(size) = recipe.output_size() else { return Ok(()) };
    let (rows, columns) = (size.height as usize, size.width as usize);
    let Some(black) = PixelBatch::from_vec(vec![0; rows * columns * 3], rows, columns) else { return Ok(()) };
    embedder.embed(ImageBatch::Pixels(&black), &mut vec![0.0; width])
}
