//! Image embeddings from services over HTTP, for imbed.
//!
//! Link the crate and the provider is there, under the name [`NAME`]. `OpenAI`'s own API embeds text only; what others have
//! made of its shape for images differs, so the option `dialect` says what a service speaks: `infinity`, `vllm`, `vllm-v2`,
//! `jina`, `voyage` or `cohere`.
//!
//! How a batch becomes vectors, one module each:
//! 1. `provider` answers the registry, `settings` reads the options, `descriptor` holds them with what `models` knows of the
//!    model. Nothing is asked of the service so far, unless the option `probe` wants it.
//! 2. `embedder` takes a batch. `fit` sends each image as it is or makes it anew; `limits` packs them into requests.
//! 3. `service` asks: `flow` says how many requests may be under way, `bucket` how many a minute, `backoff` and `retry_after`
//!    when to try again; a request that is refused for its content is halved until the image at fault is alone.
//! 4. `client` sends one request, `failure` says what an answer without vectors means, and `reply` checks one with vectors.
//!
//! A `dialect` is data: where a service is, the JSON it wants, the JSON it gives, its limits. The key comes from the
//! environment or from `imbed.toml` and is shown nowhere.
//!
//! ```
//! use imbed_core::{Registry, options::OptionMap};
//! use imbed_provider_openai as _;
//!
//! let provider = Registry::linked().get("openai")?.clone();
//! let options = OptionMap::from_iter([("dialect", "infinity")]).read(provider.option_specs())?;
//! let model = provider.image_embedder("openai/clip-vit-base-patch32", &options)?;
//! assert_eq!(model.dimensions().size, 512);
//! # Ok::<(), imbed_core::Error>(())
//! ```

mod backoff;
mod bucket;
mod client;
mod descriptor;
mod dialect;
mod embedder;
mod failure;
mod fit;
mod flow;
#[cfg(feature = "__fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod key;
mod limits;
mod models;
mod probe;
mod provider;
mod reply;
mod retry_after;
mod service;
mod settings;

pub use provider::OpenAiProvider;

/// The provider's registered name.
pub const NAME: &str = "openai";
