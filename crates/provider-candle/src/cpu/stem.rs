//! From pixels to the features of each patch.

mod conv;
mod patches;

pub(super) use conv::{Conv, ConvStem, Stage};
pub(super) use patches::PatchStem;

/// The first part of a model.
#[derive(Debug)]
pub(super) enum Stem {
    /// One product per patch.
    Patches(PatchStem),
    /// Convolutions.
    Convolutions(ConvStem),
}
