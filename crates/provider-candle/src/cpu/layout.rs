//! From a model as data to the layout that the kernels want.

use candle_core::Tensor;
use imbed_core::{Error, ErrorKind, Result};
use imbed_vision::{Architecture, model};

use super::{
    linear::{Linear, Mlp},
    norm::Norm,
    pool::AttentionPool,
    stem::{Conv, Stage},
};

/// A transformer block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) norm1: Norm,
    /// The bias is that of queries and keys alone.
    pub(super) qkv: Linear,
    /// Added to the scores, `[heads, tokens, tokens]`.
    pub(super) scores: Option<Vec<f32>>,
    pub(super) out: Linear,
    pub(super) norm2: Norm,
    pub(super) mlp: Mlp,
}

/// The numbers of a tensor, row by row.
pub(super) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all().and_then(|flat| flat.to_vec1()).map_err(unreadable)
}

fn unreadable(error: candle_core::Error) -> Error {
    Error::new(ErrorKind::Model, format!("the weights cannot be laid out: {error}")).source(error)
}

pub(super) fn norm(norm: &model::Norm<Tensor>, shape: &Architecture) -> Result<Norm> {
    let weight = values(&norm.weight)?;
    let bias = norm.bias.as_ref().map_or_else(|| Ok(vec![0.0; weight.len()]), values)?;
    Ok(Norm { kind: shape.norm, weight, bias, eps: shape.norm_eps as f32 })
}

/// `[to, from]` on disk becomes `[from, to]`.
pub(super) fn linear(linear: &model::Linear<Tensor>) -> Result<Linear> {
    let (to, _) = linear.weight.dims2().map_err(unreadable)?;
    let weight = linear.weight.t().map_err(unreadable)?;
    let bias = linear.bias.as_ref().map(values).transpose()?.unwrap_or_default();
    Ok(Linear { weight: values(&weight)?, to, bias })
}

pub(super) fn mlp(mlp: &model::Mlp<Tensor>, shape: &Architecture) -> Result<Mlp> {
    let mut fc1 = linear(&mlp.fc1)?;
    fc1.bias.resize(fc1.to, 0.0);
    Ok(Mlp { kind: shape.mlp, activation: shape.activation, fc1, fc2: linear(&mlp.fc2)? })
}

pub(super) fn block(block: &model::Block<Tensor>, shape: &Architecture) -> Result<Block> {
    let hidden = shape.hidden;
    let mut qkv = linear(&block.qkv)?;
    let mut out = linear(&block.out)?;
    if !qkv.bias.is_empty() {
        pass_through(&qkv.bias.split_off(2 * hidden), &mut out);
    }
    Ok(Block {
        norm1: norm(&block.norm1, shape)?,
        qkv,
        scores: block.scores.as_ref().map(values).transpose()?,
        out,
        norm2: norm(&block.norm2, shape)?,
        mlp: mlp(&block.mlp, shape)?,
    })
}

pub(super) fn pool(pool: &model::AttentionPool<Tensor>, shape: &Architecture) -> Result<AttentionPool> {
    let (heads, hidden) = (shape.heads, shape.hidden);
    let half = |start: usize| pool.kv.weight.narrow(0, start, hidden).map_err(unreadable);
    let keys = values(&half(0)?)?;
    let weights = values(&half(hidden)?.t().map_err(unreadable)?)?;
    let mut out = linear(&pool.out)?;
    if let Some(bias) = &pool.kv.bias {
        // That of the keys would move all scores alike.
        pass_through(&values(bias)?[hidden..], &mut out);
    }
    let mlp = pool.mlp.as_ref().map(|(norm, mlp)| Ok((self::norm(norm, shape)?, self::mlp(mlp, shape)?)));
    Ok(AttentionPool {
        heads,
        hidden,
        queries: AttentionPool::queries(&values(&pool.query)?, &keys, heads),
        values: weights,
        out,
        mlp: mlp.transpose()?,
    })
}

/// The weights of an attention sum to one, so a bias on the values comes out of it as it went in, and can join the next
/// product's bias: `(a + b) W + c = a W + (b W + c)`.
fn pass_through(bias: &[f32], out: &mut Linear) {
    out.bias.resize(out.to, 0.0);
    let width = out.to;
    for (column, sum) in out.bias.iter_mut().enumerate() {
        let terms = bias.iter().enumerate();
        let passed: f64 = terms.map(|(row, b)| f64::from(*b) * f64::from(out.weight[row * width + column])).sum();
        *sum = (f64::from(*sum) + passed) as f32;
    }
}

pub(super) fn conv_stage(stage: &model::ConvStage<Tensor>) -> Result<Stage> {
    let pairs = stage.pairs.iter().map(|(first, second)| Ok((conv(first)?, conv(second)?))).collect::<Result<_>>()?;
    Ok(Stage { down: conv(&stage.down)?, pairs })
}

/// `[to, from, 3, 3]` on disk becomes `[3, 3, from, to]`.
fn conv(conv: &model::Conv<Tensor>) -> Result<Conv> {
    let weight = conv.weight.permute((2, 3, 1, 0)).map_err(unreadable)?;
    Ok(Conv { weight: values(&weight)?, bias: values(&conv.bias)? })
}
