//! The default local provider of imbed: image models in pure Rust, on [candle](https://docs.rs/candle-core).
//!
//! Link the crate and the provider is there, under the name [`NAME`]. It reads checkpoints as the Hugging Face hub lays
//! them out, by path or by name, and carries the small model `imbed/tiny`, so that a program works with no files and no
//! network.
//!
//! How a checkpoint becomes vectors, one module each:
//! 1. `provider` answers the registry; `source` finds the checkpoint: a folder, a name in the hub's cache, or the built-in
//!    one. `open_clip` tells those that `open_clip` publishes in the words of `transformers`.
//! 2. `families` reads `config.json` into an `architecture`, one file per family (CLIP, `SigLIP`, `ViT`, `DINOv2`, …);
//!    `descriptor` holds that and can be sent elsewhere. No weights are read so far, only the names of the tensors, and where
//!    the weights are not downloaded yet, not even these.
//! 3. On `instantiate`, `families` reads the tensors it wants from `weights` into a `model`, which is data alone.
//!    `positions` (with `interpolate`) and `rotary` give each patch its place, once `per_size` of image.
//! 4. `embedder` runs it: on the processor through `cpu`, in f32 with this crate's own kernels around candle's matrix
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

mod activation;
mod architecture;
mod cpu;
mod descriptor;
mod device;
mod embedder;
mod families;
mod interpolate;
mod model;
mod open_clip;
mod per_size;
mod positions;
mod provider;
mod rotary;
mod source;
mod tensors;
mod weights;

pub use provider::CandleProvider;

/// The provider's registered name.
pub const NAME: &str = "candle";
