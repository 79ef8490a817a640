//! Any ONNX vision model as a provider of imbed, through [ONNX Runtime](https://onnxruntime.ai).
//!
//! Link the crate and the provider is there, under the name [`NAME`]. It reads one `.onnx` file, a folder as the
//! Hugging Face hub lays it out, with its `onnx/` files, or such a model by its name on the hub. ONNX Runtime itself is no part of the build: its shared library
//! is opened when the first model is loaded, from the place that `ORT_DYLIB_PATH` names; see [`use_library`].
//!
//! How a file becomes vectors, one module each:
//! 1. `provider` answers the registry, `options` reads the options that only this provider knows. `source` tells what the
//!    user means by a model, `files` chooses among those of a folder or of the hub, and `located` is what was found.
//! 2. `graph` reads what the file says about itself, through `protobuf`: inputs, outputs, and what depends on what. No
//!    weights are read, and no ONNX Runtime is needed.
//! 3. `output` decides which output is the embedding and `input` which input takes the image; `recipe` is the way from an
//!    image to that input's pixels. `descriptor` holds all this and can be sent elsewhere.
//! 4. On `instantiate`, `runtime` opens the library, `session` loads the graph on the `execution` provider that was asked
//!    for, and `embedder` runs it: `tensor` lays the pixels out.
//!
//! ONNX Runtime chooses kernels by the size of a batch, so the last bits of a vector depend on the batch it is in.
//!
//! ```
//! use imbed_core::Registry;
//! use imbed_provider_onnx as _;
//!
//! let provider = Registry::linked().get("onnxruntime")?.clone();
//! assert_eq!(provider.name(), imbed_provider_onnx::NAME);
//! # Ok::<(), imbed_core::Error>(())
//! ```

mod descriptor;
mod embedder;
mod execution;
mod files;
#[cfg(feature = "__fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod graph;
mod input;
mod located;
mod options;
mod output;
mod protobuf;
mod provider;
mod recipe;
mod runtime;
mod session;
mod source;
mod tensor;

pub use provider::OnnxProvider;
pub use runtime::{library_in, use_library};

/// The provider's registered name.
pub const NAME: &str = "onnx";
