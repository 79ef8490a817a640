//! The provider as the registry sees it.

use std::sync::Arc;

use imbed_core::{
    EmbedOptions, FetchProgress, FetchScope, ImageEmbedderDescriptor, ModelInfo, Provider, Result, fetch::FileChoice,
    options::OptionSpec,
};
use imbed_vision::{
    CheckpointDescription,
    source::{self, BUILTIN, USUAL},
};

use crate::{
    checkpoint::CheckpointDescriptor,
    options::SPECS,
    script::{ScriptDescriptor, is_script},
};

/// Local models through libtorch; registered as `torch`, alias `libtorch`.
#[derive(Debug, Clone, Copy, Default)]
pub struct TorchProvider;

impl Provider for TorchProvider {
    fn name(&self) -> &'static str {
        crate::NAME
    }

    fn aliases(&self) -> &[&str] {
        &["libtorch"]
    }

    fn summary(&self) -> &'static str {
        "the checkpoints that candle runs, and TorchScript files, through libtorch: cpu and cuda, f32, bf16 and f16"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn option_specs(&self) -> &[OptionSpec] {
        SPECS
    }

    fn models(&self) -> Vec<ModelInfo> {
        CheckpointDescription::builtin_models()
    }

    fn accepts(&self) -> &'static str {
        "a folder with config.json, preprocessor_config.json and model.safetensors, a name on the Hugging Face hub \
         (org/name[@revision]), or a TorchScript file (*.pt, *.ts, *.torchscript), or a folder with one"
    }

    fn default_model(&self) -> Option<&str> {
        Some(USUAL)
    }

    fn builtin_model(&self) -> Option<&str> {
        Some(BUILTIN)
    }

    fn fetch(&self, model: &str, _: &EmbedOptions, scope: FetchScope, progress: &mut dyn FetchProgress) -> Result<()> {
        if is_script(model) { Ok(()) } else { source::fetch(model, scope, progress) }
    }

    fn hub_files(&self, _: &EmbedOptions) -> Result<Option<Arc<dyn FileChoice>>> {
        Ok(Some(source::hub_files()))
    }

    fn image_embedder(&self, model: &str, options: &EmbedOptions) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        Ok(if is_script(model) {
            Arc::new(ScriptDescriptor::new(model, options)?)
        } else {
            Arc::new(CheckpointDescriptor::new(model, options)?)
        })
    }

    fn restore(&self, config: &serde_json::Value) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        // A program's descriptor says how it is read out, a checkpoint's says its architecture.
        Ok(if config.get("readout").is_some() {
            Arc::new(ScriptDescriptor::restore(config)?)
        } else {
            Arc::new(CheckpointDescriptor::restore(config)?)
        })
    }
}

imbed_core::register_provider!(default_priority = 40, || Arc::new(TorchProvider));

#[cfg(test)]
mod tests {
    use imbed_core::Registry;

    use super::*;

    #[test]
    fn is_found_by_name_and_by_alias() {
        let registry = Registry::linked();
        assert_eq!(registry.get("torch").unwrap().name(), "torch");
        assert_eq!(registry.get("libtorch").unwrap().name(), "torch");
    }

    #[test]
    fn offers_what_every_provider_of_checkpoints_offers() {
        assert_eq!(TorchProvider.default_model(), Some("openai/clip-vit-base-patch32"));
        assert_eq!(TorchProvider.models()[0].name, "imbed/tiny");
    }
}
