//! The shape of one model: everything that its config decides, with no weights.
//!
//! Every family here is the same machine with other parts: a stem that turns pixels into tokens, a stack of pre-norm
//! transformer blocks, a pooling and a head. A family's file reads its own config into an [`Architecture`].

use imbed_core::{Error, ErrorKind, Requirements, Result, options::Pooling};
use serde::{Deserialize, Serialize};

use crate::activation::Activation;

/// A family of checkpoints, by its config's `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Family {
    /// The vision tower of a `clip` or `clip_vision_model` checkpoint.
    Clip,
    /// `vit`.
    Vit,
    /// `imbed_tiny`, the built-in model.
    Tiny,
}

/// What a config says about a vision transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Architecture {
    /// Which family's tensor names to read.
    pub(crate) family: Family,
    /// Rows and columns of the input, in pixels.
    pub(crate) image: (usize, usize),
    /// From pixels to tokens.
    pub(crate) stem: StemShape,
    /// Whether a learnt token precedes the patches.
    pub(crate) class_token: bool,
    /// Numbers per token.
    pub(crate) hidden: usize,
    /// Numbers per token inside the MLP.
    pub(crate) intermediate: usize,
    /// Transformer blocks.
    pub(crate) layers: usize,
    /// Attention heads per block.
    pub(crate) heads: usize,
    /// Between the two products of the MLP.
    pub(crate) activation: Activation,
    /// Added to the variance in every layer norm.
    pub(crate) norm_eps: f64,
    /// Whether the query, key and value products have biases.
    pub(crate) qkv_bias: bool,
    /// How tokens become one vector: what the user chose, or the model's own way.
    pub(crate) pooling: Pooling,
    /// What the user may choose, the model's own way first; empty where there is no choice.
    pub(crate) poolings: Vec<Pooling>,
    /// What follows the pooling.
    pub(crate) head: Option<HeadShape>,
    /// Whether the model itself scales its vectors to unit length.
    pub(crate) normalized: bool,
}

/// How pixels become tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StemShape {
    /// One product per patch of this many rows and columns.
    Patches(usize, usize),
    /// 3x3 convolutions of stride 2 with these output channels, the second number of each saying how many residual
    /// pairs of convolutions follow it.
    Convolutions(Vec<(usize, usize)>),
}

/// The last product.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeadShape {
    /// Numbers per embedding.
    pub(crate) width: usize,
    /// Whether a bias is added.
    pub(crate) bias: bool,
    /// What follows the product.
    pub(crate) activation: Option<Activation>,
}

impl Architecture {
    /// Refuses what could not be computed, naming the numbers that do not fit.
    pub(crate) fn checked(self) -> Result<Self> {
        let wrong = |message: String| {
            Err(Error::new(ErrorKind::Model, message).hint("compare config.json with the published checkpoint's"))
        };
        // Far above any published model, and low enough that no product of them overflows.
        let sizes = [self.image.0, self.image.1, self.hidden, self.intermediate, self.layers, self.heads];
        let head = self.head.map_or(1, |head| head.width);
        if sizes.iter().chain([&head]).any(|size| !(1..=1 << 16).contains(size)) {
            return wrong(format!("config.json gives a size outside 1 to 65536 among {sizes:?} and {head}"));
        }
        if !self.hidden.is_multiple_of(self.heads) {
            return wrong(format!(
                "hidden_size {} is not a multiple of num_attention_heads {}",
                self.hidden, self.heads
            ));
        }
        if !(0.0..1.0).contains(&self.norm_eps) {
            return wrong(format!("layer_norm_eps {} is not a small positive number", self.norm_eps));
        }
        match &self.stem {
            StemShape::Patches(height, width) => {
                if !(1..=self.image.0).contains(height) || !(1..=self.image.1).contains(width) {
                    let (rows, columns) = self.image;
                    return wrong(format!("a patch of {height} x {width} does not fit an image of {rows} x {columns}"));
                }
            }
            StemShape::Convolutions(stages) => {
                if stages.len() > 8 || stages.iter().any(|(c, pairs)| !(1..=1 << 16).contains(c) || *pairs > 1 << 10) {
                    return wrong(format!("the stem {stages:?} is not one that can be computed"));
                }
                if stages.last().is_none_or(|(channels, _)| *channels != self.hidden) {
                    return wrong(format!("the stem {stages:?} does not end in hidden_size {}", self.hidden));
                }
            }
        }
        Ok(self)
    }

    /// Rows and columns of the grid of patches.
    pub(crate) fn grid(&self) -> (usize, usize) {
        let (height, width) = self.image;
        match &self.stem {
            StemShape::Patches(rows, columns) => (height / rows, width / columns),
            StemShape::Convolutions(stages) => stages.iter().fold((height, width), |(h, w), _| (halved(h), halved(w))),
        }
    }

    /// Tokens per image, with the class token.
    pub(crate) fn tokens(&self) -> usize {
        let (rows, columns) = self.grid();
        rows * columns + usize::from(self.class_token)
    }

    /// Numbers per embedding.
    pub(crate) fn width(&self) -> usize {
        self.head.map_or(self.hidden, |head| head.width)
    }

    /// What one loaded copy takes, given the size of its weight files.
    pub(crate) fn requirements(&self, weights_bytes: u64) -> Requirements {
        let tokens = self.tokens();
        let pixels = 3 * self.image.0 * self.image.1;
        // The residual stream, its norm, and the wider of queries-keys-values and the MLP's middle, all f32.
        let floats = pixels + tokens * (2 * self.hidden + self.intermediate.max(3 * self.hidden));
        Requirements {
            weights_bytes: Some(weights_bytes),
            bytes_per_image: Some(4 * floats as u64),
            macs_per_image: Some(self.macs()),
        }
    }

    /// Multiply-adds per image: the stem, four square products and two MLP products per block, the two products of
    /// attention, the head.
    fn macs(&self) -> u64 {
        let wide = |n: usize| n as u128;
        let (tokens, hidden, middle) = (wide(self.tokens()), wide(self.hidden), wide(self.intermediate));
        let block = tokens * (4 * hidden * hidden + 2 * hidden * middle) + 2 * tokens * tokens * hidden;
        let head = self.head.map_or(0, |head| hidden * wide(head.width));
        u64::try_from(self.stem_macs() + wide(self.layers) * block + head).unwrap_or(u64::MAX)
    }

    fn stem_macs(&self) -> u128 {
        let (rows, columns) = self.grid();
        match &self.stem {
            StemShape::Patches(height, width) => (rows * columns * 3 * height * width) as u128 * self.hidden as u128,
            StemShape::Convolutions(stages) => {
                let (mut height, mut width, mut from, mut macs) = (self.image.0, self.image.1, 3, 0);
                for &(channels, pairs) in stages {
                    (height, width) = (halved(height), halved(width));
                    macs += (height * width * 9) as u128 * channels as u128 * (from + 2 * pairs * channels) as u128;
                    from = channels;
                }
                macs
            }
        }
    }
}

/// The size after a 3x3 convolution of stride 2 with one row of padding on each side.
pub(crate) fn halved(size: usize) -> usize {
    size.div_ceil(2)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// CLIP ViT-B/32.
    pub(crate) fn clip_b32() -> Architecture {
        Architecture {
            family: Family::Clip,
            image: (224, 224),
            stem: StemShape::Patches(32, 32),
            class_token: true,
            hidden: 768,
            intermediate: 3072,
            layers: 12,
            heads: 12,
            activation: Activation::QuickGelu,
            norm_eps: 1e-5,
            qkv_bias: true,
            pooling: Pooling::Cls,
            poolings: vec![],
            head: Some(HeadShape { width: 512, bias: false, activation: None }),
            normalized: false,
        }
    }

    #[test]
    fn clip_b32_takes_4_4_billion_multiply_adds_per_image() {
        let macs = clip_b32().requirements(0).macs_per_image.unwrap();
        assert!((4.3e9..4.5e9).contains(&(macs as f64)), "{macs}");
        assert_eq!(clip_b32().tokens(), 50);
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused_by_name() {
        let heads = Architecture { heads: 7, ..clip_b32() }.checked().unwrap_err();
        assert!(heads.message().contains("num_attention_heads 7"), "{heads}");
        assert!(Architecture { hidden: 0, ..clip_b32() }.checked().is_err());
        assert!(Architecture { image: (16, 224), ..clip_b32() }.checked().is_err());
        assert!(Architecture { hidden: usize::MAX, ..clip_b32() }.checked().is_err());
        assert!(Architecture { norm_eps: -1.0, ..clip_b32() }.checked().is_err());
    }

    #[test]
    fn the_largest_sizes_that_are_accepted_do_not_overflow() {
        let most = 1 << 16;
        let largest = Architecture { image: (most, most), hidden: most, intermediate: most, heads: 1, ..clip_b32() };
        let largest = Architecture { layers: most, stem: StemShape::Patches(1, 1), ..largest }.checked().unwrap();
        assert_eq!(largest.requirements(0).macs_per_image, Some(u64::MAX));
    }
}
