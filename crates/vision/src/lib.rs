//! Vision transformers as data: from a checkpoint's folder to an [`Architecture`] and its weights.
//!
//! What imbed's local providers have in common stands here, so that each of them is only the arithmetic of its backend. A
//! provider crate
//! 1. reads a [`CheckpointDescription`] when a model is asked for: which folder or name on the hub ([`source`]), what its
//!    configuration says, what images it wants. No weights are read for that, only the names of the tensors, and where
//!    the weights are not downloaded yet, not even these. It can be sent elsewhere;
//! 2. [`load`](CheckpointDescription::load)s it on the device that it was given: a [`VisionTransformer`] of [`Array`]s,
//!    which [`try_map`](VisionTransformer::try_map) turns into its own tensors one by one;
//! 3. runs batches through it with [`embed_by_size`], which checks them first. What one size of image needs
//!    ([`Positions`], [`Rotary`]) is made once and kept, in a [`PerSize`] or a [`Recent`].
//!
//! Inside, `families` reads `config.json` into an architecture and tensors into a model, one file per family (CLIP, `SigLIP`,
//! `ViT`, `DINOv2`, …), from `weights` in every format that checkpoints are published in. `open_clip` tells those that
//! `open_clip` publishes in the words of `transformers`.
//!
//! ```
//! use imbed_core::EmbedOptions;
//! use imbed_vision::{CheckpointDescription, source::BUILTIN};
//!
//! let described = CheckpointDescription::read(BUILTIN, &EmbedOptions::default())?;
//! assert_eq!(described.dimensions().size, 256);
//! let model = described.load()?;
//! assert_eq!(model.blocks.len(), model.architecture.layers);
//! # Ok::<(), imbed_core::Error>(())
//! ```

pub mod activation;
pub mod architecture;
mod array;
mod batch;
mod description;
mod families;
#[cfg(feature = "__fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod interpolate;
pub mod model;
mod open_clip;
mod per_size;
mod positions;
mod rotary;
pub mod source;
mod weights;

pub use activation::Activation;
pub use architecture::Architecture;
pub use array::Array;
pub use batch::{each_size, embed_by_size};
pub use description::CheckpointDescription;
pub use model::VisionTransformer;
pub use per_size::{PerSize, Recent};
pub use positions::Positions;
pub use rotary::Rotary;
