//! One configured model, before ONNX Runtime is opened.

use std::{collections::BTreeSet, fs::File, path::PathBuf, sync::Arc};

use imbed_core::{
    Capability, Device, EmbedOptions, Embedder, EmbeddingDimensions, Error, ErrorKind, FetchScope,
    ImageEmbedderDescriptor, InputSpec, Requirements, Result, options::Dtype,
};
use serde::{Deserialize, Serialize};

use crate::{
    embedder::OnnxEmbedder,
    execution,
    graph::{Element, Graph},
    input::{self, Filler, ImageInput},
    options::OnnxOptions,
    output::{self, Output},
    recipe,
    session::LoadedGraph,
    source::Source,
    tensor::Tables,
};

/// A graph and the options to run it with.
///
/// Serialised, it carries what was read from the file, so that restoring it touches none. Wherever it is instantiated, a file
/// must stand at the same path, and a hub model's in that machine's cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OnnxDescriptor {
    /// As the user named it.
    model: String,
    source: Source,
    options: EmbedOptions,
    image: ImageInput,
    fillers: Vec<Filler>,
    output: Output,
    input: InputSpec,
    /// Files beside the graph's that hold weights.
    external: BTreeSet<String>,
    /// Size of all files, where they are here.
    weights_bytes: Option<u64>,
}

impl OnnxDescriptor {
    /// Reads what the file of `model` says about itself, and the configuration beside it.
    pub(crate) fn new(model: &str, options: &EmbedOptions) -> Result<Self> {
        let own = OnnxOptions::read(options)?;
        execution::check_request(own.execution, options.device)?;
        let source = Source::find(model, &own.files)?;
        let located = source.locate(FetchScope::Configuration)?;
        let graph = Graph::open(located.path())?;
        let named = |e: Error| e.context(located.path().display());

        let config = located.config()?;
        let embedding = output::find(&graph, &own, options.pooling).map_err(named)?;
        let (image, fillers) = input::choose(&graph, &embedding.name, &own).map_err(named)?;
        let output =
            output::describe(&graph, embedding, image.layout, &own, options.pooling, config.as_ref()).map_err(named)?;
        check_options(&output, options).map_err(named)?;

        let preprocessor = located.preprocessor()?;
        let side = options.image_size.map(std::num::NonZeroU32::get);
        let recipe = recipe::choose(preprocessor.as_ref(), &own.recipe, side, &image).map_err(named)?;

        let weights_bytes = match source.locate_if_whole()? {
            Some(whole) => Some(size_of(&whole.weights(&graph.external)?)?),
            None => None,
        };
        Ok(Self {
            model: model.to_owned(),
            source,
            options: options.clone(),
            image,
            fillers,
            output,
            input: InputSpec::Pixels(recipe),
            external: graph.external,
            weights_bytes,
        })
    }

    /// The descriptor that `json` tells of.
    pub(crate) fn restore(json: &serde_json::Value) -> Result<Self> {
        let broken = |why: String| {
            Error::new(ErrorKind::Config, format!("an onnx descriptor cannot be restored: {why}"))
                .hint("both ends must run the same version of imbed")
        };
        let restored: Self = Self::deserialize(json).map_err(|e| broken(e.to_string()))?;
        // It came over a wire: nothing that is divided by or allocated is taken on trust.
        let whole = (1..=1 << 20).contains(&restored.output.width)
            && restored.image.batch != Some(0)
            && restored.fillers.iter().all(Filler::is_plausible)
            && matches!(restored.input, InputSpec::Pixels(_))
            && restored.source.is_plausible();
        if whole { Ok(restored) } else { Err(broken("its numbers make no sense".to_owned())) }
    }
}

fn size_of(files: &[PathBuf]) -> Result<u64> {
    files.iter().map(|path| Ok(path.metadata().map_err(|e| Error::io(path.display(), e))?.len())).sum()
}

fn check_options(output: &Output, options: &EmbedOptions) -> Result<()> {
    let width = output.width;
    if let Some(cut) = options.dimensions
        && cut.get() > width
    {
        return Err(Error::new(ErrorKind::BadOption, format!("dimensions {cut} is more than the model's {width}"))
            .hint(format!("give 1 to {width}, or leave the option out")));
    }
    if let Some(pooling) = options.pooling
        && !output.poolings.contains(&pooling)
    {
        let message = format!("the output '{}' has no pooling '{pooling}'", output.name);
        return Err(Error::new(ErrorKind::BadOption, message)
            .hint("leave pooling away, or name the output with the tokens: --option output=last_hidden_state"));
    }
    Ok(())
}

impl ImageEmbedderDescriptor for OnnxDescriptor {
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
        let width = self.output.width;
        EmbeddingDimensions::f32(self.options.dimensions.map_or(width, |cut| cut.get().min(width)))
    }

    fn input(&self) -> &InputSpec {
        &self.input
    }

    fn requirements(&self) -> Requirements {
        Requirements { weights_bytes: self.weights_bytes, bytes_per_image: None, macs_per_image: None }
    }

    fn capability(&self) -> Capability {
        let asked = OnnxOptions::read(&self.options).map(|own| own.execution).unwrap_or_default();
        Capability {
            max_batch_rows: self.image.batch,
            normalized: false,
            dimensions_override: true,
            // ONNX Runtime chooses kernels by the size of the batch: the last bits differ.
            deterministic: false,
            poolings: self.output.poolings.clone(),
            dtypes: vec![if self.image.element == Element::F16 { Dtype::F16 } else { Dtype::F32 }],
            devices: execution::families(asked).iter().map(ToString::to_string).collect(),
        }
    }

    fn weights_hash(&self) -> Result<Option<String>> {
        let mut hasher = blake3::Hasher::new();
        for path in self.source.locate(FetchScope::Everything)?.weights(&self.external)? {
            let file = File::open(&path).map_err(|e| Error::io(path.display(), e))?;
            hasher.update_reader(file).map_err(|e| Error::io(path.display(), e))?;
        }
        Ok(Some(format!("blake3:{}", hasher.finalize().to_hex())))
    }

    fn to_json(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("the descriptor of {}: {e}", self.model)).source(e))
    }

    fn instantiate(&self, device: Device) -> Result<Embedder> {
        let own = OnnxOptions::read(&self.options)?;
        let InputSpec::Pixels(recipe) = &self.input else {
            return Err(Error::new(ErrorKind::Internal, "a descriptor of onnx that does not want pixels"));
        };
        let tables = Tables::new(&recipe.normalize, self.image.element).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("an image input of {} numbers", self.image.element))
        })?;
        let located = self.source.locate(FetchScope::Everything)?;
        let path = located.path();
        let graph = LoadedGraph::open(path, device, &own, &self.image, &self.fillers, &self.output)
            .map_err(|e| e.context(path.display()))?;
        let (input, output) = (self.image.clone(), self.output.clone());
        Ok(Embedder::Blocking(Arc::new(OnnxEmbedder { graph, input, output, tables, device })))
    }
}
