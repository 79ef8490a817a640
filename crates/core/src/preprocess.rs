//! A model's own recipe from a decoded image to the pixels it was trained on.
//!
//! The recipe comes from the checkpoint's `preprocessor_config.json`; nobody types a size or a mean. Its steps run in the
//! order of the reference (PIL in Hugging Face `transformers`): convert to RGB, resize, centre crop, and, inside the model,
//! rescale and normalise. Up to the last step everything is bytes.

mod crop;
mod describe;
mod hf;
mod image_size;
mod normalize;
mod options;
mod patches;
mod reduced;
mod run;
mod target;

use serde::{Deserialize, Serialize};

use crate::image::Filter;

pub use hf::from_preprocessor_config;
pub use options::{RecipeOptions, Step};
pub use reduced::{LEAST_REDUCTION, Reduced};

/// From a decoded image to `[height, width, 3]` bytes, and the arithmetic that turns those into the model's numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocess {
    /// How the image is resized; `None` where the processor says `do_resize: false`.
    pub resize: Option<Resize>,
    /// The size cut from the middle, padded with black where the image is smaller.
    pub center_crop: Option<Size>,
    /// From bytes to the model's numbers.
    pub normalize: Normalize,
}

/// A size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

/// A resize step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Resize {
    /// The size aimed at.
    pub target: ResizeTarget,
    /// The filter, antialiased as Pillow's.
    pub filter: Filter,
}

/// What a resize aims at. Numbers are rounded as the reference rounds them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResizeTarget {
    /// The shorter side becomes this long, the other keeps the proportion (rounded down).
    ShortestEdge(u32),
    /// The same, unless the longer side would exceed `longest`: then the image is made to fit that.
    Edges {
        /// The length of the shorter side.
        shortest: u32,
        /// The most that the longer side may have.
        longest: u32,
    },
    /// As large as this height and this width both allow, in proportion (rounded down); enlarged too.
    Within(Size),
    /// Exactly this size; the proportion may change.
    Exact(Size),
    /// `ConvNeXT`'s rule. Below 384 the shorter side becomes `side / crop_pct` long and `side` x `side` is cut from the
    /// middle; from 384 on both sides become `side`.
    ConvNext {
        /// Rows and columns of the result.
        side: u32,
        /// The share of the resized shorter side that the cut keeps.
        crop_pct: f64,
    },
    /// Patches of one size and any proportion (the `NaFlex` of `SigLIP 2`): both sides become multiples of `patch`, the
    /// proportion changes only as that asks, and the image is as large as `max_patches` patches let it.
    Patches {
        /// Rows and columns of a patch in pixels.
        patch: u32,
        /// The most patches that an image may have.
        max_patches: u32,
    },
}

/// The longest side that a recipe may ask for; the bound keeps a hostile file from asking for absurd memory.
const MAX_SIDE: u32 = 16_384;

/// `(sample * scale - mean[channel]) / std[channel]`, in `f32`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normalize {
    /// The factor on each byte, 1/255 where the processor rescales, 1 where it does not.
    pub scale: f64,
    /// Per channel; 0 where the processor does not normalise.
    pub mean: [f64; 3],
    /// Per channel; 1 where the processor does not normalise.
    pub std: [f64; 3],
}
