//! A provider for imbed as a third party writes it: a perceptual descriptor without weights.
//!
//! The vector of an image says how its colours are laid out and which way its edges run. That finds copies, crops and
//! pictures of like composition; what is shown in them it does not know.
//!
//! - `provider` answers the registry and reads options.
//! - `descriptor` is the configured model, which can be sent elsewhere.
//! - `embedder` computes, from `colour` and `gradient`.
//!
//! `docs/writing-a-provider.md` of imbed walks through these files.

mod colour;
mod descriptor;
mod embedder;
mod gradient;
mod provider;

use std::sync::Arc;

pub use provider::PerceptualProvider;

/// The provider's registered name.
pub const NAME: &str = "perceptual";

/// The name of its one model.
pub const MODEL: &str = "perceptual/32";

imbed_core::register_provider!(default_priority = 0, || Arc::new(PerceptualProvider));
