//! A model's name becomes local files.
//!
//! A [`ModelName`] is `org/name`, perhaps `@revision`. [`Hub::local`] finds its files in the Hugging Face cache, which is
//! shared with Python; [`Hub::fetch`] downloads what is missing of them; [`Hub::pull`] asks for their newest state.
//!
//! One module each:
//! 1. `name` reads names, `settings` reads the environment (`HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT`, `HF_TOKEN`,
//!    `HF_HUB_OFFLINE`).
//! 2. `cache` knows the layout on disk, `needed` which files of a model are usually wanted: the configuration and one format
//!    of the weights. A provider that wants others says so with [`Hub::choosing`].
//! 3. `listing` asks the hub for a model's files, their sizes and checksums, and says why it refuses; `http` asks politely:
//!    again when the server is busy, and without showing the token to anybody else.
//! 4. `download` brings one file: locked against other processes, resumed where it was interrupted, hashed on its way.
//! 5. `inventory` lists, verifies and removes what is in the cache.
//!
//! ```no_run
//! use imbed_core::FetchScope;
//! use imbed_hub::{Hub, ModelName};
//!
//! let name = ModelName::parse("openai/clip-vit-base-patch32")?;
//! let model = Hub::from_env()?.fetch(&name, FetchScope::Everything, &mut ())?;
//! println!("{} at {}", model.folder.display(), model.commit);
//! # Ok::<(), imbed_core::Error>(())
//! ```

mod cache;
mod digest;
mod download;
#[cfg(feature = "__fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod hub;
mod inventory;
mod listing;
mod name;
mod needed;
mod settings;

pub use hub::{Hub, Pulled, Snapshot};
pub use inventory::{Cached, Removed, Verified};
pub use name::{DEFAULT_REVISION, ModelName, looks_like_path};
pub use needed::Checkpoint;
pub use settings::{DEFAULT_ENDPOINT, Settings, Token};
