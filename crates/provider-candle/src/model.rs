//! A model as data: the weights of each part, in f32 on the CPU, as every family's checkpoint fills them.
//!
//! Nothing here computes. [`crate::cpu`] and [`crate::tensors`] each turn a [`VisionTransformer`] into their own layout
//! and run it, so that kernels change without the families noticing.

use candle_core::Tensor;

use crate::{architecture::Architecture, positions::Positions};

/// All weights of one model.
#[derive(Debug)]
pub(crate) struct VisionTransformer {
    /// The shape that the weights were checked against.
    pub(crate) architecture: Architecture,
    /// From pixels to tokens.
    pub(crate) stem: Stem,
    /// On the patches before their positions; `AIMv2` has one.
    pub(crate) patch_norm: Option<Norm>,
    /// The tokens before the patches, with what positions they have added, `[prefix, hidden]`.
    pub(crate) prefix: Option<Tensor>,
    /// Added to the patches.
    pub(crate) positions: Positions,
    /// Between positions and blocks; CLIP has one.
    pub(crate) pre_norm: Option<Norm>,
    /// The blocks, first to last.
    pub(crate) blocks: Vec<Block>,
    /// After the last block, on each token that the pooling reads.
    pub(crate) post_norm: Option<Norm>,
    /// How the tokens become one, where a learnt query does it.
    pub(crate) pool: Option<AttentionPool>,
    /// After the pooling; `BEiT` has one.
    pub(crate) pooled_norm: Option<Norm>,
    /// After the pooling and its norm.
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

/// A pre-norm transformer block: `x += out(attention(qkv(norm1(x))))`, then `x += mlp(norm2(x))`.
///
/// A layer scale, where a family has it, is in the weights and biases of `out` and of the MLP's last product.
#[derive(Debug)]
pub(crate) struct Block {
    /// Before attention.
    pub(crate) norm1: Norm,
    /// Queries, keys and values in this order: the weight is `[3 * hidden, hidden]`.
    pub(crate) qkv: Linear,
    /// Added to the scores of each head, query and key, `[heads, tokens, tokens]`.
    pub(crate) scores: Option<Tensor>,
    /// After attention.
    pub(crate) out: Linear,
    /// Before the MLP.
    pub(crate) norm2: Norm,
    pub(crate) mlp: Mlp,
}

/// `fc2(activation(fc1(x)))`, or, gated, `fc2(activation(gate) * up)` of the two halves of `fc1(x)`.
#[derive(Debug)]
pub(crate) struct Mlp {
    /// Into the MLP: the weight is `[middle, hidden]`, or, gated, `[2 * middle, hidden]`, the gate first.
    pub(crate) fc1: Linear,
    /// Out of the MLP.
    pub(crate) fc2: Linear,
}

/// A learnt query's attention over all tokens: `y = out(attention(query, kv(x)))`, then `y += mlp(norm(y))`.
#[derive(Debug)]
pub(crate) struct AttentionPool {
    /// After the query's own product, if it has one, `[hidden]`.
    pub(crate) query: Tensor,
    /// Keys and values in this order: the weight is `[2 * hidden, hidden]`.
    pub(crate) kv: Linear,
    /// After attention.
    pub(crate) out: Linear,
    /// What is added to the answer, if anything.
    pub(crate) mlp: Option<(Norm, Mlp)>,
}

/// `x @ weight^T + bias`.
#[derive(Debug)]
pub(crate) struct Linear {
    /// `[out, in]`.
    pub(crate) weight: Tensor,
    /// `[out]`.
    pub(crate) bias: Option<Tensor>,
}

/// A norm over the last axis.
#[derive(Debug)]
pub(crate) struct Norm {
    /// `[hidden]`.
    pub(crate) weight: Tensor,
    /// `[hidden]`; a norm by the root mean square has none.
    pub(crate) bias: Option<Tensor>,
}
