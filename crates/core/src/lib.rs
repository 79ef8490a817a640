//! The vocabulary of imbed: what every provider, the engine and every front end agree on.
//!
//! An image column goes in, a `FixedSizeList<Float32, D>` column comes out. Between the two stand four ideas, each with a
//! module of its own:
//!
//! 1. A [`Provider`] is linked into the program and makes descriptors. [`registry`] finds it, and
//!    [`session`] decides which one a caller means: the explicit argument, the session's, the environment's, the default.
//! 2. An [`ImageEmbedderDescriptor`] stands for one configured model. It knows the
//!    embedding's dimensions and the input it wants without loading weights, and it can be sent over a wire.
//! 3. An [`Embedder`] is the loaded model: a batch goes in, vectors are written into the caller's buffer.
//! 4. Pixels reach the model through [`image`] (decode, orient, convert, resize, crop) and [`preprocess`] (a model's own
//!    recipe of those steps, ending in a [`PixelBatch`]). What a graph of somebody else's making gives for them is read by
//!    [`readout`].
//!
//! [`arrow`] holds the column types and the same image operations over whole arrays.
//!
//! [`address`] is how an address is shown that may hold a secret; [`footer`] looks at the end of a Parquet file before its reader does.
//!
//! Where a model has to be downloaded first, [`fetch`] says how a provider does it and tells of it.
//!
//! No model code, no network and no async runtime lives here, so a third party's provider needs this crate alone.

pub mod address;
pub mod arrow;
pub mod capability;
pub mod config;
pub mod descriptor;
pub mod device;
pub mod embedder;
pub mod error;
pub mod fetch;
pub mod footer;
pub mod image;
pub mod options;
pub mod pixels;
pub mod preprocess;
pub mod provider;
pub mod readout;
pub mod registry;
pub mod session;

pub use capability::Capability;
pub use descriptor::{
    EmbeddingDimensions, Execution, ImageEmbedderDescriptor, InputSpec, Requirements, SerializedDescriptor,
};
pub use device::{Device, DeviceRequest};
pub use embedder::{AsyncImageEmbedder, BlockingImageEmbedder, Embedder, EncodedImage, ImageBatch, Usage};
pub use error::{Error, ErrorKind, Result};
pub use fetch::{FetchProgress, FetchScope};
pub use options::EmbedOptions;
pub use pixels::PixelBatch;
pub use preprocess::Preprocess;
pub use provider::{ModelInfo, Provider};
pub use registry::Registry;
pub use session::Session;

#[doc(hidden)]
pub use inventory;
