//! The provider as the registry sees it.

use std::sync::Arc;

use imbed_core::{
    EmbedOptions, FetchProgress, FetchScope, ImageEmbedderDescriptor, ModelInfo, Provider, Result, fetch::FileChoice,
};
use imbed_vision::{
    CheckpointDescription,
    source::{self, ACCEPTS, BUILTIN, USUAL},
};

use crate::{descriptor::CandleDescriptor, embedder::processor};

/// Local models in pure Rust; registered as `candle`, alias `transformers`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CandleProvider;

impl Provider for CandleProvider {
    fn name(&self) -> &'static str {
        crate::NAME
    }

    fn aliases(&self) -> &[&str] {
        &["transformers"]
    }

    fn summary(&self) -> &'static str {
        "local CLIP, SigLIP, DINO, ViT and AIMv2 checkpoints and the built-in imbed/tiny, in pure Rust"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn models(&self) -> Vec<ModelInfo> {
        CheckpointDescription::builtin_models()
    }

    fn accepts(&self) -> &'static str {
        ACCEPTS
    }

    fn default_model(&self) -> Option<&str> {
        Some(USUAL)
    }

    fn builtin_model(&self) -> Option<&str> {
        Some(BUILTIN)
    }

    fn fetch(&self, model: &str, _: &EmbedOptions, scope: FetchScope, progress: &mut dyn FetchProgress) -> Result<()> {
        source::fetch(model, scope, progress)
    }

    fn hub_files(&self, _: &EmbedOptions) -> Result<Option<Arc<dyn FileChoice>>> {
        Ok(Some(source::hub_files()))
    }

    fn image_embedder(&self, model: &str, options: &EmbedOptions) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        // Whoever set it wrongly learns so before any work.
        processor()?;
        Ok(Arc::new(CandleDescriptor::new(model, options)?))
    }

    fn restore(&self, config: &serde_json::Value) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        Ok(Arc::new(CandleDescriptor::restore(config)?))
    }
}

imbed_core::register_provider!(default_priority = 100, || Arc::new(CandleProvider));

#[cfg(test)]
mod tests {
    use imbed_core::Registry;

    use super::*;

    #[test]
    fn is_found_by_name_and_by_alias_and_comes_first() {
        let registry = Registry::linked();
        assert_eq!(registry.get("transformers").unwrap().name(), "candle");
        assert_eq!(registry.default_provider().unwrap().name(), "candle");
    }

    #[test]
    fn offers_a_stronger_model_by_default_and_the_built_in_one_to_who_names_nothing() {
        assert_eq!(CandleProvider.default_model(), Some("openai/clip-vit-base-patch32"));
        assert_eq!(CandleProvider.builtin_model(), Some("imbed/tiny"));
    }

    #[test]
    fn lists_the_built_in_model_with_its_width() {
        let models = CandleProvider.models();
        assert_eq!(models[0].name, "imbed/tiny");
        assert_eq!(models[0].dimensions, 256);
    }
}
