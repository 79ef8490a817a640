//! Local models through libtorch: the checkpoints that imbed's other local provider runs, and `TorchScript` files, on the
//! processor and on NVIDIA GPUs, in f32, bf16 and f16.
//!
//! Link the crate and the provider is there, under the name [`NAME`]. The build links the libtorch that `LIBTORCH` names, or
//! that of the Python environment where `LIBTORCH_USE_PYTORCH` is set; see [`tch`](https://docs.rs/tch).
//!
//! How a model becomes vectors, one module each:
//! 1. `provider` answers the registry, and `options` reads the options that only this provider knows.
//! 2. A checkpoint is found and described by `imbed-vision`, which `checkpoint` wraps; a `TorchScript` file by `script`.
//! 3. On `instantiate`, `runtime` gets libtorch ready, `device` finds the device, and the weights are moved there: a
//!    checkpoint's into `tensors`, which computes with libtorch's operations, a program's by libtorch itself.
//! 4. `embedder` runs batches: `input` brings the pixels to the device, through pinned memory where that is a GPU, and
//!    `inference_mode` keeps libtorch from recording anything for gradients.
//!
//! libtorch chooses kernels by the size of a batch, so the last bits of a vector depend on the batch it is in.
//!
//! ```
//! use imbed_core::{EmbedOptions, Registry};
//! use imbed_provider_torch as _;
//!
//! let provider = Registry::linked().get("torch")?.clone();
//! let model = provider.image_embedder("imbed/tiny", &EmbedOptions::default())?;
//! assert_eq!(model.dimensions().size, 256);
//! # Ok::<(), imbed_core::Error>(())
//! ```

mod checkpoint;
mod device;
mod embedder;
mod inference_mode;
mod input;
mod options;
mod pinned;
mod provider;
mod runtime;
mod script;
mod tensors;

pub use provider::TorchProvider;

/// The provider's registered name.
pub const NAME: &str = "torch";
