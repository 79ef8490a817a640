//! The forward pass.

use candle_core::Tensor;
use imbed_core::{Error, ErrorKind, PixelBatch, Result, options::Pooling, preprocess::Normalize};
use imbed_vision::{
    Architecture, PerSize, Positions, Rotary, VisionTransformer,
    architecture::{ImageShape, PositionShape, StemShape},
    model,
};
use rayon::prelude::*;

use super::{
    activation,
    attention::Attention,
    layout::{Block, block, conv_stage, linear, norm, pool, values},
    linear::{Linear, add},
    norm::Norm,
    pool::AttentionPool,
    product::Output,
    rows::sum,
    stem::{ConvStem, PatchStem, Stem},
    workspace::{Workspace, Workspaces, sized},
};

/// Rows of the residual stream per pass: enough to keep every thread busy in each product, few enough for the buffers
/// to stay in the caches near the cores. More images than that go in several passes.
const ROWS_PER_PASS: usize = 2048;

/// A model in the processor's memory.
#[derive(Debug)]
pub(crate) struct CpuModel {
    shape: Architecture,
    stem: Stem,
    /// Of the stem, `[hidden]`, or empty.
    stem_bias: Vec<f32>,
    patch_norm: Option<Norm>,
    /// The tokens before the patches, `[prefix, hidden]`.
    prefix: Vec<f32>,
    positions: Positions,
    frames: PerSize<Frame>,
    pre_norm: Option<Norm>,
    blocks: Vec<Block>,
    post_norm: Option<Norm>,
    pool: Option<AttentionPool>,
    pooled_norm: Option<Norm>,
    head: Option<Linear>,
    workspaces: Workspaces,
}

/// What all images of one size have in common.
#[derive(Debug)]
struct Frame {
    /// Rows and columns, in pixels.
    image: (usize, usize),
    /// Per image.
    tokens: usize,
    /// What is added to each token, `[tokens, hidden]`: the tokens before the patches themselves; for a patch its
    /// position, and the stem's bias where no norm stands between.
    start: Vec<f32>,
    rotary: Option<Rotary>,
}

impl CpuModel {
    /// Lays out the weights of `model`.
    pub(crate) fn new(model: VisionTransformer<Tensor>) -> Result<Self> {
        let VisionTransformer { architecture: shape, stem, prefix, positions, blocks, .. } = model;
        let mut stem_bias = Vec::new();
        let stem = match (&stem, &shape.stem, shape.image) {
            (model::Stem::Patches(patches), StemShape::Patches(rows, columns), _) => {
                let Linear { weight, bias, .. } = linear(patches)?;
                stem_bias = bias;
                Stem::Patches(PatchStem { weight, hidden: shape.hidden, patch: (*rows, *columns) })
            }
            (model::Stem::Convolutions(stages), _, ImageShape::Fixed(rows, columns)) => {
                let stages = stages.iter().map(conv_stage).collect::<Result<_>>()?;
                Stem::Convolutions(ConvStem { image: (rows, columns), stages })
            }
            _ => return Err(Error::new(ErrorKind::Internal, "the stem is not the one that the architecture says")),
        };
        let laid_out = Self {
            stem,
            stem_bias,
            patch_norm: model.patch_norm.map(|n| norm(&n, &shape)).transpose()?,
            prefix: prefix.as_ref().map(values).transpose()?.unwrap_or_default(),
            positions,
            frames: PerSize::default(),
            pre_norm: model.pre_norm.map(|n| norm(&n, &shape)).transpose()?,
            // One by one, so that no more than one block is in memory twice.
            blocks: blocks.into_iter().map(|b| block(&b, &shape)).collect::<Result<_>>()?,
            post_norm: model.post_norm.map(|n| norm(&n, &shape)).transpose()?,
            pooled_norm: model.pooled_norm.map(|n| norm(&n, &shape)).transpose()?,
            pool: model.pool.map(|p| pool(&p, &shape)).transpose()?,
            head: model.head.map(|head| linear(&head)).transpose()?,
            shape,
            workspaces: Workspaces::default(),
        };
        Ok(laid_out)
    }

    /// Writes one vector per image of `batch`, whose images have one size, to `out`, `[images, width]`.
    pub(crate) fn forward(&self, batch: &PixelBatch, normalize: &Normalize, out: &mut [f32]) -> Result<()> {
        let image = batch.size().ok_or_else(|| Error::new(ErrorKind::Internal, "a pass over images of many sizes"))?;
        let frame = self.frames.get(image, || Ok(self.frame(image)))?;
        let per_pass = (ROWS_PER_PASS / frame.tokens).max(1);
        let width = self.shape.width();
        self.workspaces.with(|workspace| {
            for (pass, out) in out.chunks_mut(per_pass * width).enumerate() {
                let images = out.len() / width;
                let first = pass * per_pass;
                let part = (images < batch.len()).then(|| batch.slice(first..first + images));
                let pixels = sized(&mut workspace.pixels, images * 3 * image.0 * image.1);
                normalize.apply(part.as_ref().unwrap_or(batch), pixels);
                self.pass(&frame, images, workspace, out);
            }
        });
        Ok(())
    }

    fn frame(&self, image: (usize, usize)) -> Frame {
        let hidden = self.shape.hidden;
        let grid = self.shape.grid(image);
        let mut start = self.prefix.clone();
        start.extend(self.positions.at(grid, hidden));
        if self.patch_norm.is_none() {
            start[self.prefix.len()..].chunks_exact_mut(hidden).for_each(|row| add(row, &self.stem_bias));
        }
        let rotary = match self.shape.positions {
            PositionShape::Rotary { theta } => {
                Some(Rotary::new(grid, self.shape.head_size(), theta, self.shape.prefix))
            }
            PositionShape::Learnt { .. } | PositionShape::Waves | PositionShape::Relative => None,
        };
        Frame { image, tokens: self.shape.tokens(image), start, rotary }
    }

    /// The images whose pixels are in `workspace`.
    fn pass(&self, frame: &Frame, images: usize, workspace: &mut Workspace, out: &mut [f32]) {
        let (tokens, hidden) = (frame.tokens, self.shape.hidden);
        self.embed(frame, images, workspace);
        if let Some(norm) = &self.pre_norm {
            norm.apply_in_place(sized(&mut workspace.stream, images * tokens * hidden), None);
        }
        let mut bias = None;
        let mut kept = tokens;
        for (i, block) in self.blocks.iter().enumerate() {
            // Nothing reads the other tokens after the last block.
            let last = i + 1 == self.blocks.len();
            kept = if last && !self.shape.reads_all_tokens() { 1 } else { tokens };
            self.attend(block, frame, bias, (images, kept), workspace);
            self.mlp(block, images * kept, workspace);
            bias = Some(block.mlp.fc2.bias.as_slice());
        }
        let Workspace { stream, narrow, wide, .. } = workspace;
        let rows = images * kept * hidden;
        let pooled = images * hidden;
        let (tokens_in, tokens_out) = (sized(stream, rows), sized(narrow, rows));
        if let Some(norm) = &self.post_norm {
            norm.apply(tokens_in, bias, tokens_out);
        } else {
            tokens_out.copy_from_slice(tokens_in);
            tokens_out.chunks_exact_mut(hidden).for_each(|row| add(row, bias.unwrap_or_default()));
        }
        if let Some(pool) = &self.pool {
            let pooled = sized(stream, pooled);
            pool.apply(&narrow[..rows], tokens, wide, &mut workspace.spare, pooled);
            self.finish(pooled, out);
        } else if self.shape.pooling == Pooling::Mean {
            let pooled = sized(stream, pooled);
            mean(&narrow[..rows], tokens, self.shape.prefix..tokens, hidden, pooled);
            if let Some(norm) = &self.pooled_norm {
                norm.apply_in_place(pooled, None);
            }
            self.finish(pooled, out);
        } else {
            self.finish(&narrow[..pooled], out);
        }
    }

    /// Pixels to the first state of the residual stream.
    fn embed(&self, frame: &Frame, images: usize, workspace: &mut Workspace) {
        let (tokens, hidden, before) = (frame.tokens, self.shape.hidden, self.prefix.len());
        let Workspace { pixels, stream, narrow, wide, .. } = workspace;
        let pixels = &pixels[..images * 3 * frame.image.0 * frame.image.1];
        let features = sized(narrow, images * (tokens * hidden - before));
        match &self.stem {
            Stem::Patches(stem) => stem.apply(pixels, frame.image, wide, features),
            Stem::Convolutions(stem) => stem.apply(pixels, features),
        }
        if let Some(norm) = &self.patch_norm {
            norm.apply_in_place(features, Some(&self.stem_bias));
        }
        let stream = sized(stream, images * tokens * hidden).par_chunks_exact_mut(tokens * hidden);
        stream.zip(features.par_chunks_exact(tokens * hidden - before)).for_each(|(stream, features)| {
            stream.copy_from_slice(&frame.start);
            add(&mut stream[before..], features);
        });
    }

    /// `x += out(attention(norm1(x)))`, without the bias of `out`, for the first `kept` tokens of each image, which
    /// are all that stays in the stream. `bias` is that of the product before.
    fn attend(
        &self,
        block: &Block,
        frame: &Frame,
        bias: Option<&[f32]>,
        (images, kept): (usize, usize),
        workspace: &mut Workspace,
    ) {
        let (tokens, hidden) = (frame.tokens, self.shape.hidden);
        let stream = sized(&mut workspace.stream, images * tokens * hidden);
        let narrow = sized(&mut workspace.narrow, images * tokens * hidden);
        let wide = sized(&mut workspace.wide, images * tokens * 3 * hidden);
        block.norm1.apply(stream, bias, narrow);
        block.qkv.apply(narrow, hidden, wide, Output::Write);
        let attention = Attention {
            tokens,
            hidden,
            heads: self.shape.heads,
            queries: kept,
            bias: &block.qkv.bias,
            scores: block.scores.as_deref(),
            rotary: frame.rotary.as_ref(),
        };
        let answers = &mut narrow[..images * kept * hidden];
        attention.apply(wide, answers);
        if kept < tokens {
            for image in 1..images {
                let first = image * tokens * hidden;
                stream.copy_within(first..first + kept * hidden, image * kept * hidden);
            }
        }
        block.out.apply(answers, hidden, &mut stream[..images * kept * hidden], Output::Add);
    }

    /// `x += mlp(norm2(x))`, without the last bias, for the first `rows` of the stream.
    fn mlp(&self, block: &Block, rows: usize, workspace: &mut Workspace) {
        let hidden = self.shape.hidden;
        let stream = sized(&mut workspace.stream, rows * hidden);
        let narrow = sized(&mut workspace.narrow, rows * hidden);
        block.norm2.apply(stream, Some(&block.out.bias), narrow);
        block.mlp.add(narrow, hidden, &mut workspace.wide, stream);
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

fn scale_by(row: &mut [f32], scale: f32) {
    for x in row {
        *x *= scale;
    }
}

/// The mean of some `patches` of each image's tokens in `x`, `[images, tokens, hidden]`, into the rows of `out`.
fn mean(x: &[f32], tokens: usize, patches: std::ops::Range<usize>, hidden: usize, out: &mut [f32]) {
    let scale = 1.0 / patches.len() as f32;
    for (x, out) in x.chunks_exact(tokens * hidden).zip(out.chunks_exact_mut(hidden)) {
        out.fill(0.0);
        x[patches.start * hidden..patches.end * hidden].chunks_exact(hidden).for_each(|row| add(out, row));
        scale_by(out, scale);
    }
}
