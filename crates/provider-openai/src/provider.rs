//! The provider as the registry sees it.

use std::sync::Arc;

use imbed_core::{EmbedOptions, ImageEmbedderDescriptor, ModelInfo, Provider, Result, options::OptionSpec};

use crate::{descriptor::OpenAiDescriptor, dialect::DIALECTS, settings::OPTIONS};

/// Services over HTTP; registered as `openai`.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenAiProvider;

impl Provider for OpenAiProvider {
    fn name(&self) -> &'static str {
        crate::NAME
    }

    fn summary(&self) -> &'static str {
        "services over HTTP: infinity, vLLM, Jina, Voyage, Cohere; the option dialect says which"
    }

    fn is_local(&self) -> bool {
        false
    }

    fn option_specs(&self) -> &[OptionSpec] {
        OPTIONS
    }

    fn models(&self) -> Vec<ModelInfo> {
        let mut models: Vec<ModelInfo> = Vec::new();
        for dialect in DIALECTS {
            for model in dialect.models {
                // Checkpoints that several servers run are listed once, with all their dialects.
                if let Some(known) = models.iter_mut().find(|m| m.name == model.name) {
                    known.summary = format!("{}, {}", known.summary, dialect.name);
                    continue;
                }
                models.push(ModelInfo {
                    name: model.name.to_owned(),
                    dimensions: model.width,
                    summary: format!("dialect {}", dialect.name),
                    builtin: false,
                });
            }
        }
        models
    }

    fn accepts(&self) -> &'static str {
        "any name that the service knows, with width=N where it is not in the list"
    }

    fn default_model(&self) -> Option<&str> {
        None
    }

    fn image_embedder(&self, model: &str, options: &EmbedOptions) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        Ok(Arc::new(OpenAiDescriptor::new(model, options)?))
    }

    fn restore(&self, config: &serde_json::Value) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
        Ok(Arc::new(OpenAiDescriptor::restore(config)?))
    }
}

imbed_core::register_provider!(default_priority = 0, || Arc::new(OpenAiProvider));

#[cfg(test)]
mod tests {
    use imbed_core::Registry;

    use super::*;

    #[test]
    fn is_found_by_name_and_is_not_local() {
        let provider = Registry::linked().get("openai").unwrap().clone();
        assert!(!provider.is_local());
        assert!(provider.default_model().is_none());
    }

    #[test]
    fn lists_every_known_model_once_with_its_dialects() {
        let models = OpenAiProvider.models();
        let clip: Vec<_> = models.iter().filter(|m| m.name == "openai/clip-vit-base-patch32").collect();
        assert_eq!(clip.len(), 1);
        assert_eq!((clip[0].dimensions, clip[0].summary.as_str()), (512, "dialect infinity, vllm, vllm-v2"));
    }

    #[test]
    fn the_option_dialect_lists_every_dialect() {
        let spec = OPTIONS.iter().find(|o| o.name == "dialect").unwrap();
        let names: Vec<&str> = DIALECTS.iter().map(|d| d.name).collect();
        assert_eq!(spec.values, names.join(" | "));
    }
}
