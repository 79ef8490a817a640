//! The provider as the registry sees it.

use std::sync::Arc;

use imbed_core::{
    EmbedOptions, Error, ErrorKind, ImageEmbedderDescriptor, ModelInfo, Provider, Result, options::OptionSpec,
};

use crate::{MODEL, NAME, descriptor::PerceptualDescriptor, embedder::WIDTH};

/// Colour layout and gradients; registered as `perceptual`.
#[derive(Debug, Clone, Copy)]
pub struct PerceptualProvider;

const OPTIONS: &[OptionSpec] =
    &[OptionSpec { name: "shape", values: "0 to 0.9", summary: "the weight of edges against colours (default 0.5)" }];

impl Provider for PerceptualProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn summary(&self) -> &'static str {
        "colour layout and gradient histograms: finds copies and like compositions, without a model"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn option_specs(&self) -> &[OptionSpec] {
        OPTIONS
    }

    fn models(&self) -> Vec<ModelInfo> {
        let summary = "colour layout and gradients of 32 x 32 pixels; microseconds an image".to_owned();
        vec![ModelInfo { name: MODEL.to_owned(), dimensions: WIDTH, summary, builtin: true }]
    }

    fn accepts(&self) -> &'static str {
        "nothing but perceptual/32"
    }

    fn default_model(&self) -> Option<&str> {
        Some(MODEL)
    }

    fn image_embedder(&self, model: &str, options: &EmbedOptions) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        if model != MODEL {
            return Err(Error::new(ErrorKind::UnknownModel, format!("the provider perceptual has no model '{model}'"))
                .hint(format!("its model is {MODEL}")));
        }
        Ok(Arc::new(PerceptualDescriptor::new(options)?))
    }

    fn restore(&self, config: &serde_json::Value) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        Ok(Arc::new(PerceptualDescriptor::restore(config)?))
    }
}
