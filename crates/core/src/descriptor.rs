//! A configured model that is not loaded yet, and can be sent elsewhere to be loaded.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Capability, Device, EmbedOptions, Embedder, Preprocess, Result, options::Dtype};

/// The shape of one embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingDimensions {
    /// Numbers per vector.
    pub size: usize,
    /// The type of each number in the output column; always [`Dtype::F32`] today.
    pub dtype: Dtype,
}

impl EmbeddingDimensions {
    /// `size` numbers of type `f32`.
    pub const fn f32(size: usize) -> Self {
        Self { size, dtype: Dtype::F32 }
    }
}

/// What a model wants to be given for each image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputSpec {
    /// Pixels of one size, prepared by this recipe.
    Pixels(Preprocess),
    /// The encoded file, in one of these media types; others are re-encoded as PNG first.
    Encoded {
        /// Media types that are sent as they are, such as `image/jpeg`.
        media_types: Vec<String>,
    },
}

/// How an embedder is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Execution {
    /// On a worker thread that computes.
    Blocking,
    /// On an async runtime, many requests at once.
    Async,
}

/// What one loaded copy of the model takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Requirements {
    /// Weights in memory, in bytes, where known.
    pub weights_bytes: Option<u64>,
    /// Working memory per image of a batch, in bytes, where known.
    pub bytes_per_image: Option<u64>,
    /// Multiply-adds per image, where known; the engine sizes batches by it.
    pub macs_per_image: Option<u64>,
}

/// A serialisable factory for one model: everything about it that can be known without its weights.
///
/// Making a descriptor reads configuration only. It never loads weights and never uses the network, so a query planner can
/// ask for the output's type on a machine that will not run the model.
pub trait ImageEmbedderDescriptor: fmt::Debug + Send + Sync {
    /// The name of the provider that made this, as registered.
    fn provider(&self) -> &str;

    /// The model, as the user would name it again.
    fn model(&self) -> &str;

    /// The options it was made with.
    fn options(&self) -> &EmbedOptions;

    /// The shape of the vectors that reach the user, after any cut by the option `dimensions`.
    fn dimensions(&self) -> EmbeddingDimensions;

    /// What each image must be turned into.
    fn input(&self) -> &InputSpec;

    /// How the embedder is called.
    fn execution(&self) -> Execution {
        Execution::Blocking
    }

    /// What one loaded copy takes.
    fn requirements(&self) -> Requirements;

    /// What the model can do.
    fn capability(&self) -> Capability;

    /// A hash of the weights' content, such as `blake3:…`, or `None` where nobody can know it (a remote service).
    ///
    /// Reads every byte of the weights, which takes about a second per gigabyte.
    fn weights_hash(&self) -> Result<Option<String>>;

    /// What decides the vectors beside weights and options, by name, in the provider's words: the numbers of an
    /// architecture, the revision of a service. Recorded with the column, so that two columns can be held against each
    /// other.
    fn recipe(&self) -> Result<serde_json::Map<String, serde_json::Value>> {
        Ok(serde_json::Map::new())
    }

    /// What [`Provider::restore`](crate::Provider::restore) needs to make this descriptor again in another process.
    ///
    /// Holds no secrets: whoever restores it reads its own.
    fn to_json(&self) -> Result<serde_json::Value>;

    /// Loads the model on `device`.
    fn instantiate(&self, device: Device) -> Result<Embedder>;
}

/// A descriptor as it travels: which provider made it, and that provider's own account of it.
///
/// [`Registry::restore`](crate::Registry::restore) turns it back into a descriptor wherever the provider is linked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SerializedDescriptor {
    /// The provider's registered name.
    pub provider: String,
    /// The provider's own account.
    pub config: serde_json::Value,
}

impl SerializedDescriptor {
    /// What `descriptor` needs to be made again elsewhere.
    pub fn of(descriptor: &dyn ImageEmbedderDescriptor) -> Result<Self> {
        Ok(Self { provider: descriptor.provider().to_owned(), config: descriptor.to_json()? })
    }
}
