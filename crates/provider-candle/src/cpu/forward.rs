//! The forward pass.

use candle_core::Tensor;
use imbed_core::{Error, ErrorKind, PixelBatch, Result, options::Pooling, preprocess::Normalize};
use rayon::prelude::*;

use super::{
    activation,
    attention::Attention,
    norm::Norm,
    product::{Matrix, Output, Threads, multiply},
    rows::sum,
    stem::{Conv, ConvStem, PatchStem, Stage, Stem},
    workspace::{Workspace, Workspaces, sized},
};
use crate::{
    architecture::{Architecture, StemShape},
    model::{self, VisionTransformer},
};

/// Rows of the residual stream per pass: enough to keep every thread busy in each product, few enough for the buffers
/// to stay in the caches near the cores. More images than that go in several passes.
const ROWS_PER_PASS: usize = 2048;

/// A model in the processor's memory.
#[derive(Debug)]
pub(crate) struct CpuModel {
    shape: Architecture,
    stem: Stem,
    /// What is added to each token, `[tokens, hidden]`: the position, and the class token or the stem's bias.
    positions: Vec<f32>,
    pre_norm: Option<Norm>,
    blocks: Vec<Block>,
    post_norm: Norm,
    head: Option<Linear>,
    workspaces: Workspaces,
}

#[derive(Debug)]
struct Block {
    norm1: Norm,
    qkv: Linear,
    out: Linear,
    norm2: Norm,
    fc1: Linear,
    fc2: Linear,
}

/// A product and the bias that somebody adds later.
#[derive(Debug)]
struct Linear {
    /// `[from, to]`: the transpose of what checkpoints hold, so that the product reads it as it lies.
    weight: Vec<f32>,
    to: usize,
    /// `[to]`, or empty where there is none.
    bias: Vec<f32>,
}

impl CpuModel {
    /// Lays out the weights of `model`.
    pub(crate) fn new(model: VisionTransformer) -> Result<Self> {
        let VisionTransformer { architecture: shape, stem, class_token, positions, pre_norm, blocks, post_norm, head } =
            model;
        let mut positions = values(&positions)?;
        let eps = shape.norm_eps as f32;
        let (classes, patches) = positions.split_at_mut(if shape.class_token { shape.hidden } else { 0 });
        if let Some(token) = &class_token {
            add(classes, &values(token)?);
        }
        let stem = match (&stem, &shape.stem) {
            (model::Stem::Patches(linear), StemShape::Patches(rows, columns)) => {
                if let Some(bias) = &linear.bias {
                    let bias = values(bias)?;
                    patches.chunks_exact_mut(shape.hidden).for_each(|row| add(row, &bias));
                }
                let weight = self::linear(linear)?.weight;
                Stem::Patches(PatchStem { weight, hidden: shape.hidden, image: shape.image, patch: (*rows, *columns) })
            }
            (model::Stem::Convolutions(stages), _) => {
                let stages = stages.iter().map(conv_stage).collect::<Result<_>>()?;
                Stem::Convolutions(ConvStem { image: shape.image, stages })
            }
            (model::Stem::Patches(_), StemShape::Convolutions(_)) => {
                return Err(Error::new(ErrorKind::Internal, "the stem is not the one that the architecture says"));
            }
        };
        Ok(Self {
            stem,
            positions,
            pre_norm: pre_norm.map(|n| norm(&n, eps)).transpose()?,
            // One by one, so that no more than one block is in memory twice.
            blocks: blocks.into_iter().map(|b| block(&b, eps, shape.hidden)).collect::<Result<_>>()?,
            post_norm: norm(&post_norm, eps)?,
            head: head.map(|head| linear(&head)).transpose()?,
            shape,
            workspaces: Workspaces::default(),
        })
    }

    /// Writes one vector per image to `out`, `[images, width]`.
    pub(crate) fn forward(&self, batch: &PixelBatch, normalize: &Normalize, out: &mut [f32]) {
        let per_pass = (ROWS_PER_PASS / self.shape.tokens()).max(1);
        let width = self.shape.width();
        self.workspaces.with(|workspace| {
            for (pass, out) in out.chunks_mut(per_pass * width).enumerate() {
                let images = out.len() / width;
                let first = pass * per_pass;
                let part = (images < batch.len()).then(|| batch.slice(first..first + images));
                let pixels = sized(&mut workspace.pixels, images * 3 * self.shape.image.0 * self.shape.image.1);
                normalize.apply(part.as_ref().unwrap_or(batch), pixels);
                self.pass(images, workspace, out);
            }
        });
    }

    /// The images whose pixels are in `workspace`.
    fn pass(&self, images: usize, workspace: &mut Workspace, out: &mut [f32]) {
        let (tokens, hidden) = (self.shape.tokens(), self.shape.hidden);
        self.embed(images, workspace);
        if let Some(norm) = &self.pre_norm {
            norm.apply_in_place(sized(&mut workspace.stream, images * tokens * hidden));
        }
        let mut bias = None;
        let mut kept = tokens;
        for (i, block) in self.blocks.iter().enumerate() {
            // Nothing reads the other tokens after the last block.
            let last = i + 1 == self.blocks.len();
            kept = if last && self.shape.pooling != Pooling::Mean { 1 } else { tokens };
            self.attend(block, bias, (images, kept), workspace);
            self.mlp(block, images * kept, workspace);
            bias = Some(block.fc2.bias.as_slice());
        }
        let Workspace { stream, narrow, .. } = workspace;
        let rows = images * kept * hidden;
        let (stream, narrow) = (&mut stream[..rows], &mut narrow[..rows]);
        self.post_norm.apply(stream, bias, narrow);
        if self.shape.pooling == Pooling::Mean {
            let patches = usize::from(self.shape.class_token)..tokens;
            mean(narrow, tokens, patches, hidden, stream);
            self.finish(&stream[..images * hidden], out);
        } else {
            self.finish(narrow, out);
        }
    }

    /// Pixels to the first state of the residual stream.
    fn embed(&self, images: usize, workspace: &mut Workspace) {
        let (tokens, hidden) = (self.shape.tokens(), self.shape.hidden);
        let class = if self.shape.class_token { hidden } else { 0 };
        let Workspace { pixels, stream, narrow, wide } = workspace;
        let pixels = &pixels[..images * 3 * self.shape.image.0 * self.shape.image.1];
        let features = sized(narrow, images * (tokens * hidden - class));
        match &self.stem {
            Stem::Patches(stem) => stem.apply(pixels, wide, features),
            Stem::Convolutions(stem) => stem.apply(pixels, features),
        }
        let stream = sized(stream, images * tokens * hidden).par_chunks_exact_mut(tokens * hidden);
        stream.zip(features.par_chunks_exact(tokens * hidden - class)).for_each(|(stream, features)| {
            stream.copy_from_slice(&self.positions);
            add(&mut stream[class..], features);
        });
    }

    /// `x += out(attention(norm1(x)))`, without the bias of `out`, for the first `kept` tokens of each image, which
    /// are all that stays in the stream. `bias` is that of the product before.
    fn attend(&self, block: &Block, bias: Option<&[f32]>, (images, kept): (usize, usize), workspace: &mut Workspace) {
        let (tokens, hidden) = (self.shape.tokens(), self.shape.hidden);
        let stream = sized(&mut workspace.stream, images * tokens * hidden);
        let narrow = sized(&mut workspace.narrow, images * tokens * hidden);
        let wide = sized(&mut workspace.wide, images * tokens * 3 * hidden);
        block.norm1.apply(stream, bias, narrow);
        block.qkv.apply(narrow, hidden, wide, Output::Write);
        let attention = Attention { tokens, hidden, heads: self.shape.heads, queries: kept };
        let answers = &mut narrow[..images * kept * hidden];
        attention.apply(wide, block.qkv.bias.get(..hidden), answers);
        if kept < tokens {
            for image in 1..images {
                let first = image * tokens * hidden;
                stream.copy_within(first..first + kept * hidden, image * kept * hidden);
            }
        }
        block.out.apply(answers, hidden, &mut stream[..images * kept * hidden], Output::Add);
    }

    /// `x += fc2(activation(fc1(norm2(x))))`, without the bias of `fc2`, for the first `rows` of the stream.
    fn mlp(&self, block: &Block, rows: usize, workspace: &mut Workspace) {
        let (hidden, middle) = (self.shape.hidden, self.shape.intermediate);
        let stream = sized(&mut workspace.stream, rows * hidden);
        let narrow = sized(&mut workspace.narrow, rows * hidden);
        let wide = sized(&mut workspace.wide, rows * middle);
        block.norm2.apply(stream, Some(&block.out.bias), narrow);
        block.fc1.apply(narrow, hidden, wide, Output::Write);
        activation::apply(self.shape.activation, wide, &block.fc1.bias);
        block.fc2.apply(wide, middle, stream, Output::Add);
    }

    /// The head, and unit length where the model itself gives it.
    fn finish(&self, pooled: &[f32], out: &mut [f32]) {
        match (&self.head, self.shape.head) {
            (Some(head), Some(shape)) => {
                head.apply(pooled, self.shape.hidden, out, Output::Write);
                match shape.activation {
                    Some(activation) => activation::apply(activation, out, &head.bias),
                    None => out.chunks_exact_mut(shape.width).for_each(|row| add(row, &head.bias)),
                }
            }
            _ => out.copy_from_slice(pooled),
        }
        if self.shape.normalized {
            for row in out.chunks_exact_mut(self.shape.width()) {
                // The floor is that of the model's definition.
                let scale = 1.0 / sum(row, |x| x * x).sqrt().max(1e-12);
                scale_by(row, scale);
            }
        }
    }
}

impl Linear {
    /// The product of `x`, rows of `from` numbers, without the bias.
    fn apply(&self, x: &[f32], from: usize, out: &mut [f32], output: Output) {
        let x = Matrix::new(x, x.len() / from, from, from);
        multiply(x, Matrix::new(&self.weight, from, self.to, self.to), out, self.to, output, Threads::Pool);
    }
}

/// `to += from`, as far as both reach.
fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
}

fn scale_by(row: &mut [f32], scale: f32) {
    for x in row {
        *x *= scale;
    }
}

/// The mean of some `patches` of each image's tokens in `x`, `[images, tokens, hidden]`, into the first rows of `out`.
fn mean(x: &[f32], tokens: usize, patches: std::ops::Range<usize>, hidden: usize, out: &mut [f32]) {
    let scale = 1.0 / patches.len() as f32;
    for (x, out) in x.chunks_exact(tokens * hidden).zip(out.chunks_exact_mut(hidden)) {
        out.fill(0.0);
        x[patches.start * hidden..patches.end * hidden].chunks_exact(hidden).for_each(|row| add(out, row));
        scale_by(out, scale);
    }
}

/// The numbers of a tensor, row by row.
fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all().and_then(|flat| flat.to_vec1()).map_err(unreadable)
}

fn unreadable(error: candle_core::Error) -> Error {
    Error::new(ErrorKind::Model, format!("the weights cannot be laid out: {error}")).source(error)
}

fn norm(norm: &model::Norm, eps: f32) -> Result<Norm> {
    Ok(Norm { weight: values(&norm.weight)?, bias: values(&norm.bias)?, eps })
}

/// `[to, from]` on disk becomes `[from, to]`.
fn linear(linear: &model::Linear) -> Result<Linear> {
    let (to, _) = linear.weight.dims2().map_err(unreadable)?;
    let weight = linear.weight.t().map_err(unreadable)?;
    let bias = linear.bias.as_ref().map(values).transpose()?.unwrap_or_default();
    Ok(Linear { weight: values(&weight)?, to, bias })
}

fn block(block: &model::Block, eps: f32, hidden: usize) -> Result<Block> {
    let qkv = linear(&block.qkv)?;
    let mut out = linear(&block.out)?;
    // The weights of an attention sum to one, so a bias on the values comes out of it as it went in, and can join the
    // next product's bias: `(a + b) W + c = a W + (b W + c)`.
    if let Some(bias) = qkv.bias.get(2 * hidden..) {
        for (column, sum) in out.bias.iter_mut().enumerate() {
            let passed: f64 =
                (0..hidden).map(|row| f64::from(bias[row]) * f64::from(out.weight[row * hidden + column])).sum();
            *sum = (f64::from(*sum) + passed) as f32;
        }
    }
    Ok(Block {
        norm1: norm(&block.norm1, eps)?,
        qkv,
        out,
        norm2: norm(&block.norm2, eps)?,
        fc1: linear(&block.fc1)?,
        fc2: linear(&block.fc2)?,
    })
}

fn conv_stage(stage: &model::ConvStage) -> Result<Stage> {
    let pairs = stage.pairs.iter().map(|(first, second)| Ok((conv(first)?, conv(second)?))).collect::<Result<_>>()?;
    Ok(Stage { down: conv(&stage.down)?, pairs })
}

/// `[to, from, 3, 3]` on disk becomes `[3, 3, from, to]`.
fn conv(conv: &model::Conv) -> Result<Conv> {
    let weight = conv.weight.permute((2, 3, 1, 0)).map_err(unreadable)?;
    Ok(Conv { weight: values(&weight)?, bias: values(&conv.bias)? })
}
