//! The shape of one model: everything that its config decides, with no weights.
//!
//! Every family here is the same machine with other parts: a stem that turns pixels into tokens, positions, a stack of
//! pre-norm transformer blocks, a pooling and a head. A family's file reads its own config into an [`Architecture`].

mod check;
mod cost;

use imbed_core::{Error, ErrorKind, Result, options::Pooling};
use serde::{Deserialize, Serialize};

use crate::{activation::Activation, interpolate::Resample};

/// A family of checkpoints, by its config's `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// The vision tower of CLIP, and of `MetaCLIP` 2, which is the same.
    Clip,
    /// The vision tower of `SigLIP`, and of `SigLIP` 2 at one resolution.
    Siglip,
    /// The vision tower of `SigLIP` 2 that reads any proportion (`NaFlex`).
    Siglip2,
    /// `vit`.
    Vit,
    /// `deit`.
    Deit,
    /// `dinov2` and `dinov2_with_registers`.
    Dinov2,
    /// `dinov3_vit`.
    Dinov3,
    /// `beit`.
    Beit,
    /// `aimv2` and its vision tower.
    Aimv2,
    /// `imbed_tiny`, the built-in model.
    Tiny,
}

/// What a config says about a vision transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Architecture {
    /// Which family's tensor names to read.
    pub family: Family,
    /// The size of the input.
    pub image: ImageShape,
    /// From pixels to tokens.
    pub stem: StemShape,
    /// Learnt tokens before the patches: the class token first, then registers and the like.
    pub prefix: usize,
    /// How a token knows where its patch lies.
    pub positions: PositionShape,
    /// Numbers per token.
    pub hidden: usize,
    /// Numbers per token inside the MLP.
    pub intermediate: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Attention heads per block, and in an attention pooling.
    pub heads: usize,
    /// How the MLP is built.
    pub mlp: MlpKind,
    /// Between the products of the MLP.
    pub activation: Activation,
    /// What every norm computes.
    pub norm: NormKind,
    /// Added to the variance in every norm.
    pub norm_eps: f64,
    /// Which products of a block have biases.
    pub biases: Biases,
    /// How tokens become one vector: what the user chose, or the model's own way.
    pub pooling: Pooling,
    /// What the user may choose, the model's own way first; empty where there is no choice.
    pub poolings: Vec<Pooling>,
    /// A learnt query that reads all tokens, where that is how they become one vector.
    pub attention_pool: Option<AttentionPoolShape>,
    /// What follows the pooling.
    pub head: Option<HeadShape>,
    /// Whether the model itself scales its vectors to unit length.
    pub normalized: bool,
}

/// The sizes of images that a model is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageShape {
    /// Rows and columns in pixels, the same for all.
    Fixed(usize, usize),
    /// Whole patches in any proportion, at most so many.
    Patches(usize),
}

/// How pixels become tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StemShape {
    /// One product per patch of this many rows and columns.
    Patches(usize, usize),
    /// 3x3 convolutions of stride 2 with these output channels, the second number of each saying how many residual
    /// pairs of convolutions follow it.
    Convolutions(Vec<(usize, usize)>),
}

/// How a token knows where its patch lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PositionShape {
    /// A learnt row is added for each patch.
    Learnt {
        /// Rows and columns of the grid of patches that they were learnt for.
        grid: (usize, usize),
        /// What becomes of them on another grid.
        resized: Resized,
    },
    /// Sines and cosines of row and column are added, as `AIMv2` does for images of any size.
    Waves,
    /// Queries and keys of the patches are turned by angles that their places give, as `DINOv3` does.
    Rotary {
        /// The slowest frequency is this times slower than the fastest.
        theta: f64,
    },
    /// A learnt number for each distance between two patches of the model's own grid is added to each head's scores, as
    /// `BEiT` does.
    Relative,
}

/// What becomes of learnt positions where the image has another grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resized {
    /// Nothing: the reference reads no other size.
    Never,
    /// They are resampled, but only where the user wants another size: the reference does it on request.
    WhenAsked(Resample),
    /// They are resampled, as the reference always does.
    Always(Resample),
}

/// How the MLP of a block is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MlpKind {
    /// `fc2(activation(fc1(x)))`.
    Plain,
    /// `fc2(activation(gate(x)) * up(x))`.
    Gated,
}

/// What a norm computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Deviations from the mean, in units of their spread, times a weight plus a bias.
    Layer,
    /// The numbers in units of their root mean square, times a weight.
    Rms,
}

/// Which products of a block have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "five independent facts of a config")]
pub struct Biases {
    /// The queries.
    pub query: bool,
    /// The keys.
    pub key: bool,
    /// The values.
    pub value: bool,
    /// The product after attention.
    pub out: bool,
    /// The products of the MLP.
    pub mlp: bool,
}

impl Biases {
    /// Every product has one.
    pub const ALL: Self = Self { query: true, key: true, value: true, out: true, mlp: true };

    /// Every product has one, save queries, keys and values, for which `qkv` says it.
    pub const fn with_qkv(qkv: bool) -> Self {
        Self { query: qkv, key: qkv, value: qkv, ..Self::ALL }
    }
}

/// A learnt query that attends to all tokens after the last norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttentionPoolShape {
    /// Whether a norm and an MLP follow, added to what they read.
    pub mlp: bool,
}

/// The last product.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeadShape {
    /// Numbers per embedding.
    pub width: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// What follows the product.
    pub activation: Option<Activation>,
}

impl Architecture {
    /// Rows and columns of the grid of patches of an image of so many rows and columns of pixels.
    pub fn grid(&self, (height, width): (usize, usize)) -> (usize, usize) {
        match &self.stem {
            StemShape::Patches(rows, columns) => (height / rows, width / columns),
            StemShape::Convolutions(stages) => stages.iter().fold((height, width), |(h, w), _| (halved(h), halved(w))),
        }
    }

    /// Tokens of an image of so many rows and columns of pixels, with those before the patches.
    pub fn tokens(&self, image: (usize, usize)) -> usize {
        let (rows, columns) = self.grid(image);
        rows * columns + self.prefix
    }

    /// Numbers per attention head.
    pub fn head_size(&self) -> usize {
        self.hidden / self.heads
    }

    /// Numbers per embedding.
    pub fn width(&self) -> usize {
        self.head.map_or(self.hidden, |head| head.width)
    }

    /// Whether the pooling reads more than the class token.
    pub fn reads_all_tokens(&self) -> bool {
        self.pooling == Pooling::Mean || self.attention_pool.is_some()
    }

    /// The same model for images of `size`, rows and columns; `asked` says that the user wants a size of his own.
    pub fn for_images(self, size: (usize, usize), asked: bool) -> Result<Self> {
        let (rows, columns) = size;
        let ImageShape::Fixed(own_rows, own_columns) = self.image else {
            return Err(Error::new(ErrorKind::BadOption, "the model reads images in their own proportions")
                .hint("leave the option image_size out"));
        };
        if size == (own_rows, own_columns) {
            return Ok(self);
        }
        let (may, square) = match self.positions {
            PositionShape::Learnt { resized: Resized::Never, .. } | PositionShape::Relative => (false, true),
            PositionShape::Learnt { grid, resized: Resized::WhenAsked(_) } => (asked, grid.0 == grid.1),
            PositionShape::Learnt { grid, resized: Resized::Always(_) } => (true, grid.0 == grid.1),
            PositionShape::Waves | PositionShape::Rotary { .. } => (true, true),
        };
        let wrong = |kind, message: String, hint: &str| Err(Error::new(kind, message).hint(hint.to_owned()));
        match (may && square, asked) {
            (true, _) => Self { image: ImageShape::Fixed(rows, columns), ..self }.checked().map_err(|e| {
                let kind = if asked { ErrorKind::BadOption } else { e.kind() };
                Error::new(kind, e.message().to_owned()).hint("choose a size nearer to the model's own")
            }),
            (false, true) => wrong(
                ErrorKind::BadOption,
                format!("the model reads images of {own_rows} x {own_columns} only: its positions fit no other size"),
                "leave the option image_size out",
            ),
            (false, false) => wrong(
                ErrorKind::Model,
                format!(
                    "preprocessor_config.json makes {rows} x {columns}, config.json wants {own_rows} x {own_columns}"
                ),
                "compare both files with the published checkpoint's",
            ),
        }
    }
}

/// The size after a 3x3 convolution of stride 2 with one row of padding on each side.
pub fn halved(size: usize) -> usize {
    size.div_ceil(2)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// CLIP ViT-B/32.
    pub(crate) fn clip_b32() -> Architecture {
        Architecture {
            family: Family::Clip,
            image: ImageShape::Fixed(224, 224),
            stem: StemShape::Patches(32, 32),
            prefix: 1,
            positions: PositionShape::Learnt { grid: (7, 7), resized: Resized::WhenAsked(Resample::Bicubic) },
            hidden: 768,
            intermediate: 3072,
            layers: 12,
            heads: 12,
            mlp: MlpKind::Plain,
            activation: Activation::QuickGelu,
            norm: NormKind::Layer,
            norm_eps: 1e-5,
            biases: Biases::ALL,
            pooling: Pooling::Cls,
            poolings: vec![],
            attention_pool: None,
            head: Some(HeadShape { width: 512, bias: false, activation: None }),
            normalized: false,
        }
    }

    #[test]
    fn another_size_is_for_models_that_can_and_for_those_who_ask() {
        let kind = |model: Architecture, asked| model.for_images((448, 448), asked).map_err(|e| e.kind());
        let clip = clip_b32();
        assert_eq!(kind(clip.clone(), false).unwrap_err(), ErrorKind::Model);
        let asked = kind(clip.clone(), true).unwrap();
        assert_eq!((asked.image, asked.tokens((448, 448))), (ImageShape::Fixed(448, 448), 197));
        let learnt =
            |grid, resized| Architecture { positions: PositionShape::Learnt { grid, resized }, ..clip.clone() };
        assert!(kind(learnt((7, 7), Resized::Always(Resample::Bicubic)), false).is_ok());
        assert_eq!(kind(learnt((7, 7), Resized::Never), true).unwrap_err(), ErrorKind::BadOption);
        let oblong = Architecture {
            image: ImageShape::Fixed(224, 448),
            ..learnt((7, 14), Resized::WhenAsked(Resample::Bicubic))
        };
        assert_eq!(kind(oblong, true).unwrap_err(), ErrorKind::BadOption);
        assert!(
            kind(
                Architecture {
                    family: Family::Dinov3,
                    positions: PositionShape::Rotary { theta: 100.0 },
                    ..clip.clone()
                },
                false
            )
            .is_ok()
        );
        let patches = Architecture { image: ImageShape::Patches(256), ..clip };
        assert_eq!(kind(patches, true).unwrap_err(), ErrorKind::BadOption);
    }

    #[test]
    fn a_size_below_one_patch_or_beyond_all_memory_is_a_bad_option() {
        for side in [31, 32 * 300] {
            let error = clip_b32().for_images((side, side), true).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadOption, "{error}");
        }
    }
}
