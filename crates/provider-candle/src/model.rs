//! A model as data: the weights of each part, in f32 on the CPU, as every family's checkpoint fills them.
//!
//! Nothing here computes. [`crate::cpu`] and [`crate::tensors`] each turn a [`VisionTransformer`] into their own layout
//! and run it, so that kernels change without the families noticing.

use candle_core::Tensor;

use crate::architecture::Architecture;

/// All weights of one model.
#[derive(Debug)]
pub(crate) struct VisionTransformer {
    /// The shape that the weights were checked against.
    pub(crate) architecture: Architecture,
    /// From pixels to tokens.
    pub(crate) stem: Stem,
    /// The class token, `[hidden]`.
    pub(crate) class_token: Option<Tensor>,
    /// Added to the tokens, `[tokens, hidden]`.
    pub(crate) positions: Tensor,
    /// Between positions and blocks; CLIP has one.
    pub(crate) pre_norm: Option<Norm>,
    /// The blocks, first to last.
    pub(crate) blocks: Vec<Block>,
    /// After the last block, on each token that the pooling reads.
    pub(crate) post_norm: Norm,
    /// After the pooling.
    pub(crate) head: Option<Linear>,
}

/// From pixels to tokens.
#[derive(Debug)]
pub(crate) enum Stem {
    /// One product per patch: the weight is `[hidden, 3 * height * width]`, channel first.
    Patches(Linear),
    /// Stages of a strided convolution and residual pairs, each convolution followed by a rectifier.
    Convolutions(Vec<ConvStage>),
}

/// A 3x3 convolution of stride 2 and the residual pairs after it: `x = relu(x + second(relu(first(x))))`.
#[derive(Debug)]
pub(crate) struct ConvStage {
    /// The strided convolution.
    pub(crate) down: Conv,
    /// Pairs of convolutions of stride 1.
    pub(crate) pairs: Vec<(Conv, Conv)>,
}

/// A 3x3 convolution with padding 1.
#[derive(Debug)]
pub(crate) struct Conv {
    /// `[out, in, 3, 3]`.
    pub(crate) weight: Tensor,
    /// `[out]`.
    pub(crate) bias: Tensor,
}

/// A pre-norm transformer block: `x += out(attention(qkv(norm1(x))))`, then `x += fc2(activation(fc1(norm2(x))))`.
#[derive(Debug)]
pub(crate) struct Block {
    /// Before attention.
    pub(crate) norm1: Norm,
    /// Queries, keys and values in this order: the weight is `[3 * hidden, hidden]`.
    pub(crate) qkv: Linear,
    /// After attention.
    pub(crate) out: Linear,
    /// Before the MLP.
    pub(crate) norm2: Norm,
    /// Into the MLP.
    pub(crate) fc1: Linear,
    /// Out of the MLP.
    pub(crate) fc2: Linear,
}

/// `x @ weight^T + bias`.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `[out, in]`.
    pub(crate) weight: Tensor,
    /// `[out]`.
    pub(crate) bias: Option<Tensor>,
}

/// A layer norm over the last axis.
#[derive(Debug)]
pub(crate) struct Norm {
    /// `[hidden]`.
    pub(crate) weight: Tensor,
    /// `[hidden]`.
    pub(crate) bias: Tensor,
}
