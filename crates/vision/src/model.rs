//! A model as data: the weights of each part, as every family's checkpoint fills them.
//!
//! Nothing here computes. What is read is a [`VisionTransformer`] of [`Array`]s, and a provider turns it into one of its own
//! tensors with [`try_map`](VisionTransformer::try_map), or into a layout of its own, so that kernels change without the
//! families noticing.

mod map;

use crate::{Array, architecture::Architecture, positions::Positions};

/// All weights of one model.
#[derive(Debug)]
pub struct VisionTransformer<T = Array> {
    /// The shape that the weights were checked against.
    pub architecture: Architecture,
    /// From pixels to tokens.
    pub stem: Stem<T>,
    /// On the patches before their positions; `AIMv2` has one.
    pub patch_norm: Option<Norm<T>>,
    /// The tokens before the patches, with what positions they have added, `[prefix, hidden]`.
    pub prefix: Option<T>,
    /// Added to the patches.
    pub positions: Positions,
    /// Between positions and blocks; CLIP has one.
    pub pre_norm: Option<Norm<T>>,
    /// The blocks, first to last.
    pub blocks: Vec<Block<T>>,
    /// After the last block, on each token that the pooling reads.
    pub post_norm: Option<Norm<T>>,
    /// How the tokens become one, where a learnt query does it.
    pub pool: Option<AttentionPool<T>>,
    /// After the pooling; `BEiT` has one.
    pub pooled_norm: Option<Norm<T>>,
    /// After the pooling and its norm.
    pub head: Option<Linear<T>>,
}

/// From pixels to tokens.
#[derive(Debug)]
pub enum Stem<T = Array> {
    /// One product per patch: the weight is `[hidden, 3 * height * width]`, channel first.
    Patches(Linear<T>),
    /// Stages of a strided convolution and residual pairs, each convolution followed by a rectifier.
    Convolutions(Vec<ConvStage<T>>),
}

/// A 3x3 convolution of stride 2 and the residual pairs after it: `x = relu(x + second(relu(first(x))))`.
#[derive(Debug)]
pub struct ConvStage<T = Array> {
    /// The strided convolution.
    pub down: Conv<T>,
    /// Pairs of convolutions of stride 1.
    pub pairs: Vec<(Conv<T>, Conv<T>)>,
}

/// A 3x3 convolution with padding 1.
#[derive(Debug)]
pub struct Conv<T = Array> {
    /// `[out, in, 3, 3]`.
    pub weight: T,
    /// `[out]`.
    pub bias: T,
}

/// A pre-norm transformer block: `x += out(attention(qkv(norm1(x))))`, then `x += mlp(norm2(x))`.
///
/// A layer scale, where a family has it, is in the weights and biases of `out` and of the MLP's last product.
#[derive(Debug)]
pub struct Block<T = Array> {
    /// Before attention.
    pub norm1: Norm<T>,
    /// Queries, keys and values in this order: the weight is `[3 * hidden, hidden]`.
    pub qkv: Linear<T>,
    /// Added to the scores of each head, query and key, `[heads, tokens, tokens]`.
    pub scores: Option<T>,
    /// After attention.
    pub out: Linear<T>,
    /// Before the MLP.
    pub norm2: Norm<T>,
    /// After that norm.
    pub mlp: Mlp<T>,
}

/// `fc2(activation(fc1(x)))`, or, gated, `fc2(activation(gate) * up)` of the two halves of `fc1(x)`.
#[derive(Debug)]
pub struct Mlp<T = Array> {
    /// Into the MLP: the weight is `[middle, hidden]`, or, gated, `[2 * middle, hidden]`, the gate first.
    pub fc1: Linear<T>,
    /// Out of the MLP.
    pub fc2: Linear<T>,
}

/// A learnt query's attention over all tokens: `y = out(attention(product(query), kv(x)))`, then `y += mlp(norm(y))`.
#[derive(Debug)]
pub struct AttentionPool<T = Array> {
    /// Before the query's own product, if it has one, `[hidden]`.
    pub query: T,
    /// That product, whose weight is `[hidden, hidden]`.
    pub query_product: Option<Linear<T>>,
    /// Keys and values in this order: the weight is `[2 * hidden, hidden]`.
    pub kv: Linear<T>,
    /// After attention.
    pub out: Linear<T>,
    /// What is added to the answer, if anything.
    pub mlp: Option<(Norm<T>, Mlp<T>)>,
}

/// `x @ weight^T + bias`.
#[derive(Debug)]
pub struct Linear<T = Array> {
    /// `[out, in]`.
    pub weight: T,
    /// `[out]`.
    pub bias: Option<T>,
}

/// A norm over the last axis.
#[derive(Debug)]
pub struct Norm<T = Array> {
    /// `[hidden]`.
    pub weight: T,
    /// `[hidden]`; a norm by the root mean square has none.
    pub bias: Option<T>,
}
