//! The default local provider of imbed: image models in pure Rust, on [candle](https://docs.rs/candle-core).
//!
//! Link the crate and the provider is there, under the name [`NAME`]. It reads checkpoints as the Hugging Face hub lays
//! them out, by path or by name, and carries the small model `imbed/tiny`, so that a program works with no files and no
//! network.
//!
//! How a checkpoint becomes vectors, one module each:
//! 1. `provider` answers the registry. `imbed-vision` finds the checkpoint and reads its configuration, which `descriptor`
//!    holds and which can be sent elsewhere.
//! 2. On `instantiate`, `imbed-vision` reads the weights into a model, which is data alone, and `embedder` lays it out on the
//!    `device`.
//! 3. It runs there: on the processor through `cpu`, in f32 with this crate's own kernels around candle's matrix
//!    product; on a GPU (features `cuda`, `metal`) through `tensors`, with candle's operations.
//!
//! On the CPU an image's vector has the same bits in every batch, at every place, with any number of threads.
//!
//! ```
//! use imbed_core::{EmbedOptions, Registry};
//! use imbed_provider_candle as _;
//!
//! let provider = Registry::linked().get("candle")?.clone();
//! let model = provider.image_embedder("imbed/tiny", &EmbedOptions::default())?;
//! assert_eq!(model.dimensions().size, 256);
//! # Ok::<(), imbed_core::Error>(())
//! ```

mod cpu;
mod descriptor;
mod device;
mod embedder;
mod model;
mod provider;
mod tensors;

pub use provider::CandleProvider;

/// The provider's registered name.
pub const NAME: &str = "candle";
