//! From pixels to the features of each patch.

mod conv;

use imbed_kernels::Linear;

pub(super) use conv::{Conv, ConvStem, Stage};

/// The first part of a model.
pub(super) enum Stem {
    /// One product per patch of so many rows and columns, straight from bytes: the normalisation is in its weights.
    Patches(Linear, (usize, usize)),
    /// Convolutions.
    Convolutions(Box<ConvStem>),
}
