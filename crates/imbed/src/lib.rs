//! Bulk image embedding: image columns in, vector columns out.
//!
//! This crate is the one dependency to name. It re-exports [`core`] (providers, descriptors, options, Arrow types),
//! [`engine`] (the pipeline that runs them), [`hub`] (models by name, downloaded once) and [`urls`] (images by address), and links the providers that its
//! Cargo features name, so that [`Session`](core::Session) finds them:
//!
//! | feature | links |
//! |---|---|
//! | `candle` (default) | local models in pure Rust, and the built-in model `imbed/tiny` |
//! | `cuda`, `metal` | the same on NVIDIA and Apple GPUs |
//! | `onnx` | any ONNX vision model, through ONNX Runtime |
//! | `torch` | the checkpoints that candle runs, and `TorchScript` files, through libtorch |
//! | `openai` | services over HTTP: infinity, vLLM, Jina, Voyage, Cohere |
//!
//! ```
//! # #[cfg(feature = "candle")]
//! # fn main() -> imbed::core::Result<()> {
//! use std::sync::Arc;
//!
//! use arrow_array::{Array, ArrayRef, BinaryArray};
//! use imbed::{
//!     core::{Session, image::{EncodeFormat, Image, Mode, Samples, encode}, session::Request},
//!     engine::{Engine, Images},
//! };
//!
//! // Nothing is named, so this is the built-in model. It needs no files and no network.
//! let resolved = Session::new(imbed::core::Registry::linked()).resolve(&Request::default())?;
//! let engine = Engine::builder(resolved.descriptor).build()?;
//!
//! let red = Image::new(Mode::Rgb, 8, 8, Samples::U8([255, 0, 0].repeat(64)))?;
//! let column: ArrayRef = Arc::new(BinaryArray::from_iter([Some(encode(&red, EncodeFormat::Png)?), None]));
//! let embedded = engine.embed_array(Images::Encoded(column))?;
//! assert_eq!(embedded.embeddings.len(), 2);
//! assert!(embedded.embeddings.is_null(1));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "candle"))]
//! # fn main() {}
//! ```

pub use imbed_core as core;
pub use imbed_engine as engine;
pub use imbed_hub as hub;
pub use imbed_urls as urls;

// Providers register themselves; naming them here keeps the linker from leaving them out.
#[cfg(feature = "candle")]
use imbed_provider_candle as _;
#[cfg(feature = "onnx")]
use imbed_provider_onnx as _;
#[cfg(feature = "openai")]
use imbed_provider_openai as _;
#[cfg(feature = "torch")]
use imbed_provider_torch as _;
