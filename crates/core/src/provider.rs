//! Who makes descriptors, and how a crate registers itself.

use std::{fmt, sync::Arc};

use crate::{
    EmbedOptions, FetchProgress, FetchScope, ImageEmbedderDescriptor, Result, fetch::FileChoice, options::OptionSpec,
};

/// A model that a provider can name by itself, for `imbed models`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name to pass as the model.
    pub name: String,
    /// Numbers per vector.
    pub dimensions: usize,
    /// One line: what it is good for, and what it costs.
    pub summary: String,
    /// It needs no files and no network.
    pub builtin: bool,
}

/// A source of image embedders: a local runtime, a remote service, a third party's crate.
///
/// Implement it, register it with [`register_provider!`](crate::register_provider), link the crate, and every front end
/// of imbed can use it by name.
pub trait Provider: fmt::Debug + Send + Sync {
    /// The registered name: lower case, such as `candle`.
    fn name(&self) -> &str;

    /// Other names for it.
    fn aliases(&self) -> &[&str] {
        &[]
    }

    /// One line for `imbed providers`.
    fn summary(&self) -> &str;

    /// The model runs on this machine and no image leaves it.
    fn is_local(&self) -> bool;

    /// Options beyond [`EmbedOptions`]' own that this provider reads from [`EmbedOptions::extra`].
    fn option_specs(&self) -> &[OptionSpec] {
        &[]
    }

    /// The models it can name by itself.
    fn models(&self) -> Vec<ModelInfo>;

    /// In one line: what else may be passed as the model, such as `a folder with config.json and model.safetensors`.
    fn accepts(&self) -> &str;

    /// The model when the user named this provider but no model.
    fn default_model(&self) -> Option<&str>;

    /// The model when the user named neither provider nor model: one that works offline at once.
    fn builtin_model(&self) -> Option<&str> {
        None
    }

    /// Brings the files of `model` to this machine, as far as `scope` goes and as they are not here yet.
    ///
    /// The only place where a provider may use the network before the model runs. A provider without files to fetch leaves
    /// this as it is.
    fn fetch(
        &self,
        model: &str,
        options: &EmbedOptions,
        scope: FetchScope,
        progress: &mut dyn FetchProgress,
    ) -> Result<()> {
        let _ = (model, options, scope, progress);
        Ok(())
    }

    /// Which files of a model on the Hugging Face hub it reads with these options; `None` for a provider that reads none.
    fn hub_files(&self, options: &EmbedOptions) -> Result<Option<Arc<dyn FileChoice>>> {
        let _ = options;
        Ok(None)
    }

    /// A descriptor of `model`. Reads configuration on this machine only: no weights, no network.
    fn image_embedder(&self, model: &str, options: &EmbedOptions) -> Result<Arc<dyn ImageEmbedderDescriptor>>;

    /// The descriptor whose [`to_json`](ImageEmbedderDescriptor::to_json) gave `config`.
    fn restore(&self, config: &serde_json::Value) -> Result<Arc<dyn ImageEmbedderDescriptor>>;
}

/// A provider that a linked crate submitted; see [`register_provider!`](crate::register_provider).
#[derive(Debug)]
pub struct Registration {
    /// Makes the provider, once per process.
    pub make: fn() -> Arc<dyn Provider>,
    /// Where nothing else decides, the linked provider with the highest number is the default.
    pub default_priority: u32,
}

inventory::collect!(Registration);

/// Registers a provider for every program that links this crate.
///
/// ```
/// # use std::sync::Arc;
/// # use imbed_core::{EmbedOptions, Error, ErrorKind, ImageEmbedderDescriptor, ModelInfo, Provider, Result};
/// #[derive(Debug)]
/// struct Mine;
/// # impl Provider for Mine {
/// #     fn name(&self) -> &str { "mine" }
/// #     fn summary(&self) -> &str { "an example" }
/// #     fn is_local(&self) -> bool { true }
/// #     fn models(&self) -> Vec<ModelInfo> { vec![] }
/// #     fn accepts(&self) -> &str { "nothing" }
/// #     fn default_model(&self) -> Option<&str> { None }
/// #     fn image_embedder(&self, name: &str, _: &EmbedOptions) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
/// #         Err(Error::new(ErrorKind::UnknownModel, format!("there is no model '{name}'")))
/// #     }
/// #     fn restore(&self, _: &serde_json::Value) -> Result<Arc<dyn ImageEmbedderDescriptor>> {
/// #         Err(Error::new(ErrorKind::UnknownModel, "there is no model"))
/// #     }
/// # }
/// imbed_core::register_provider!(default_priority = 0, || Arc::new(Mine));
/// assert!(imbed_core::Registry::linked().get("mine").is_ok());
/// ```
///
/// A crate that nothing refers to may be left out by the linker: a binary says `use my_provider as _;`.
#[macro_export]
macro_rules! register_provider {
    (default_priority = $priority:expr, $make:expr) => {
        $crate::inventory::submit! {
            $crate::provider::Registration { make: $make, default_priority: $priority }
        }
    };
}
