//! A model as it travels: all that planning asks of a descriptor, and the provider's own account to load it by.
//!
//! So a scheduler plans a query without the model's files and even without its provider. Whoever loads the model restores the
//! descriptor, and sees to it that its weights are those that the query was planned for.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use arrow_schema::Field;
use imbed_core::{
    Capability, Device, EmbedOptions, Embedder, EmbeddingDimensions, Error, ErrorKind, Execution,
    ImageEmbedderDescriptor, InputSpec, Registry, Requirements, Result, SerializedDescriptor,
    arrow::{Provenance, embedding_type},
    options::OnError,
};
use serde::{Deserialize, Serialize};

use crate::{error::copy, functions::EMBED_IMAGE, models::Model};

/// What is sent of a [`Model`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Travelling {
    descriptor: SerializedDescriptor,
    model: String,
    options: EmbedOptions,
    dimensions: EmbeddingDimensions,
    input: InputSpec,
    execution: Execution,
    requirements: Requirements,
    capability: Capability,
    on_error: OnError,
    /// The folder that relative paths in columns start from.
    base: String,
    /// Of its column.
    metadata: HashMap<String, String>,
}

impl Travelling {
    pub(crate) fn of(model: &Model) -> Result<Self> {
        let descriptor = &model.descriptor;
        let base = model.base.clone().map_or_else(working_folder, Ok)?;
        Ok(Self {
            descriptor: SerializedDescriptor::of(descriptor.as_ref())?,
            model: descriptor.model().to_owned(),
            options: descriptor.options().clone(),
            dimensions: descriptor.dimensions(),
            input: descriptor.input().clone(),
            execution: descriptor.execution(),
            requirements: descriptor.requirements(),
            capability: descriptor.capability(),
            on_error: model.on_error,
            base,
            metadata: model.field.metadata().clone(),
        })
    }

    /// The model again. Nothing of it is looked for on this machine yet.
    pub(crate) fn arrive(self) -> Result<Model> {
        let key = serde_json::to_string(&self.descriptor).map_err(|e| {
            Error::new(ErrorKind::Internal, format!("the model {} cannot be described: {e}", self.model)).source(e)
        })?;
        let field = Field::new(EMBED_IMAGE, embedding_type(self.dimensions.size), true);
        Ok(Model {
            on_error: self.on_error,
            field: field.with_metadata(self.metadata.clone()),
            key,
            base: Some(self.base.clone()),
            descriptor: Arc::new(Travelled { sent: self, restored: OnceLock::new() }),
        })
    }
}

/// The folder that relative paths start from in this process.
pub(crate) fn working_folder() -> Result<String> {
    let here = std::env::current_dir().map_err(|e| Error::io("the working folder", e))?;
    Ok(here.to_string_lossy().into_owned())
}

/// A descriptor from elsewhere.
#[derive(Debug)]
struct Travelled {
    sent: Travelling,
    restored: OnceLock<Result<Arc<dyn ImageEmbedderDescriptor>>>,
}

impl Travelled {
    /// The descriptor as the provider in this process knows it.
    fn restored(&self) -> Result<&Arc<dyn ImageEmbedderDescriptor>> {
        let restored = self.restored.get_or_init(|| Registry::linked().restore(&self.sent.descriptor));
        restored.as_ref().map_err(copy)
    }

    /// An error if the weights on this machine are known not to be those of the query.
    fn check_weights(&self, descriptor: &dyn ImageEmbedderDescriptor) -> Result<()> {
        let wanted = Provenance::from_metadata(&self.sent.metadata).and_then(|p| p.weights);
        let Some(wanted) = wanted else { return Ok(()) };
        match descriptor.weights_hash()? {
            Some(here) if here != wanted => Err(Error::new(
                ErrorKind::Model,
                format!(
                    "the weights of {} on this machine are not those that the query was planned for",
                    self.sent.model
                ),
            )
            .hint(format!(
                "they are {here} here and {wanted} where the query came from; bring the same files to both"
            ))),
            _ => Ok(()),
        }
    }
}

impl ImageEmbedderDescriptor for Travelled {
    fn provider(&self) -> &str {
        &self.sent.descriptor.provider
    }

    fn model(&self) -> &str {
        &self.sent.model
    }

    fn options(&self) -> &EmbedOptions {
        &self.sent.options
    }

    fn dimensions(&self) -> EmbeddingDimensions {
        self.sent.dimensions
    }

    fn input(&self) -> &InputSpec {
        &self.sent.input
    }

    fn execution(&self) -> Execution {
        self.sent.execution
    }

    fn requirements(&self) -> Requirements {
        self.sent.requirements
    }

    fn capability(&self) -> Capability {
        self.sent.capability.clone()
    }

    fn weights_hash(&self) -> Result<Option<String>> {
        self.restored()?.weights_hash()
    }

    fn recipe(&self) -> Result<serde_json::Map<String, serde_json::Value>> {
        self.restored()?.recipe()
    }

    fn to_json(&self) -> Result<serde_json::Value> {
        Ok(self.sent.descriptor.config.clone())
    }

    fn instantiate(&self, device: Device) -> Result<Embedder> {
        let loaded = self.restored().and_then(|descriptor| {
            self.check_weights(descriptor.as_ref())?;
            descriptor.instantiate(device)
        });
        loaded.map_err(|e| {
            let hint = e.hint_text().map(|hint| format!("{hint}; ")).unwrap_or_default();
            let hint = format!(
                "{hint}each executor loads the model from its own files: a folder needs the same absolute path on all, and a \
                 model of the hub must be in the cache of each (`imbed models pull {}`)",
                self.sent.model
            );
            e.context("on this executor").hint(hint)
        })
    }
}
