//! The provider as the registry sees it.

use std::sync::Arc;

use imbed_core::{
    EmbedOptions, FetchProgress, FetchScope, ImageEmbedderDescriptor, ModelInfo, Provider, Result, fetch::FileChoice,
    options::OptionSpec,
};

use crate::{
    descriptor::OnnxDescriptor,
    execution,
    options::{OnnxOptions, SPECS},
    source::{ACCEPTS, Source},
};

/// ONNX vision models through ONNX Runtime; registered as `onnx`, alias `onnxruntime`.
#[derive(Debug, Clone, Copy, Default)]
pub struct OnnxProvider;

impl Provider for OnnxProvider {
    fn name(&self) -> &'static str {
        crate::NAME
    }

    fn aliases(&self) -> &[&str] {
        &["onnxruntime"]
    }

    fn summary(&self) -> &'static str {
        "any ONNX vision model, through ONNX Runtime"
    }

    fn is_local(&self) -> bool {
        true
    }

    fn option_specs(&self) -> &[OptionSpec] {
        SPECS
    }

    fn models(&self) -> Vec<ModelInfo> {
        Vec::new()
    }

    fn accepts(&self) -> &'static str {
        ACCEPTS
    }

    fn default_model(&self) -> Option<&str> {
        None
    }

    fn fetch(
        &self,
        model: &str,
        options: &EmbedOptions,
        scope: FetchScope,
        progress: &mut dyn FetchProgress,
    ) -> Result<()> {
        let own = OnnxOptions::read(options)?;
        // What the options say of the device is wrong for every file, and needs none to be found.
        execution::check_request(own.execution, options.device)?;
        Source::fetch(model, &own.files, scope, progress)
    }

    fn hub_files(&self, options: &EmbedOptions) -> Result<Option<Arc<dyn FileChoice>>> {
        Ok(Some(Arc::new(OnnxOptions::read(options)?.files)))
    }

    fn image_embedder(&self, model: &str, options: &EmbedOptions) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        Ok(Arc::new(OnnxDescriptor::new(model, options)?))
    }

    fn restore(&self, config: &serde_json::Value) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        Ok(Arc::new(OnnxDescriptor::restore(config)?))
    }
}

imbed_core::register_provider!(default_priority = 50, || Arc::new(OnnxProvider));

#[cfg(test)]
mod tests {
    use imbed_core::Registry;

    #[test]
    fn is_found_by_name_and_by_alias() {
        let registry = Registry::linked();
        assert_eq!(registry.get("onnx").unwrap().name(), "onnx");
        assert_eq!(registry.get("onnxruntime").unwrap().name(), "onnx");
    }
}
