//! The forward pass.

use std::fmt;

use half::bf16;
use imbed_core::{Error, ErrorKind, PixelBatch, Result, options::Pooling, preprocess::Normalize};
use imbed_kernels::{Activation, Cpu, Linear, Patches, Then};
use imbed_vision::{
    Architecture, PerSize, Positions, Rotary, VisionTransformer,
    architecture::{ImageShape, PositionShape, StemShape},
    model,
};
use rayon::prelude::*;

use super::{
    attention::Attention,
    fit,
    layout::{Block, Layout, activation},
    linear::{add, apply},
    norm::Norm,
    number::Number,
    pool::{AttentionPool, Buffers},
    precision::Precisions,
    stem::{ConvStem, Stem},
    threads::Threads,
    workspace::{Workspace, Workspaces, sized},
};

/// Rows of the residual stream in a pass of one thread: enough for the weights, which come from far, to be worth their way,
/// and few enough for what products hand to each other to stay in the caches near the core.
const ROWS_PER_PASS: usize = 800;

/// A model in the processor's memory.
pub(crate) struct CpuModel {
    cpu: Cpu,
    shape: Architecture,
    stem: Stem,
    /// On the patches before their positions.
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
    workspaces: AnyWorkspaces,
}

/// Those of the numbers that the model keeps between its products.
enum AnyWorkspaces {
    F32(Workspaces<f32>),
    Bf16(Workspaces<bf16>),
}

/// What all images of one size have in common.
#[derive(Debug)]
struct Frame {
    /// Rows and columns, in pixels.
    image: (usize, usize),
    /// Per image.
    tokens: usize,
    /// Where each token starts, `[tokens, hidden]`: those before the patches as they are, a patch at its position.
    start: Vec<f32>,
    rotary: Option<Rotary>,
}

impl CpuModel {
    /// Lays out the weights of `model` for `cpu`, to compute in `precisions` on bytes normalised as `normalize` says.
    pub(crate) fn new(
        model: VisionTransformer,
        normalize: &Normalize,
        cpu: Cpu,
        precisions: Precisions,
    ) -> Result<Self> {
        let VisionTransformer { architecture: shape, stem, prefix, positions, blocks, .. } = model;
        let layout = Layout { cpu, precisions, shape: &shape };
        let stem = match (&stem, &shape.stem, shape.image) {
            (model::Stem::Patches(patches), StemShape::Patches(rows, columns), _) => {
                Stem::Patches(layout.patches(patches, (*rows, *columns), normalize)?, (*rows, *columns))
            }
            (model::Stem::Convolutions(stages), _, ImageShape::Fixed(rows, columns)) => {
                let stages = stages.iter().map(|stage| layout.conv_stage(stage)).collect::<Result<_>>()?;
                Stem::Convolutions(Box::new(ConvStem { image: (rows, columns), tables: normalize.tables(), stages }))
            }
            _ => return Err(Error::new(ErrorKind::Internal, "the stem is not the one that the architecture says")),
        };
        Ok(Self {
            cpu,
            stem,
            patch_norm: model.patch_norm.map(|norm| layout.norm(norm)),
            prefix: prefix.map(imbed_vision::Array::into_values).unwrap_or_default(),
            positions,
            frames: PerSize::default(),
            pre_norm: model.pre_norm.map(|norm| layout.norm(norm)),
            // Each is dropped when it has been laid out, so that few are in memory twice.
            blocks: blocks.into_par_iter().map(|block| layout.block(block)).collect::<Result<_>>()?,
            post_norm: model.post_norm.map(|norm| layout.norm(norm)),
            pooled_norm: model.pooled_norm.map(|norm| layout.norm(norm)),
            pool: model.pool.map(|pool| layout.pool(&pool)).transpose()?,
            head: model.head.map(|head| layout.head(&head)).transpose()?,
            shape,
            workspaces: if precisions.narrow() {
                AnyWorkspaces::Bf16(Workspaces::default())
            } else {
                AnyWorkspaces::F32(Workspaces::default())
            },
        })
    }

    /// Numbers per vector.
    pub(crate) fn width(&self) -> usize {
        self.shape.width()
    }

    /// Writes one vector per image of `batch`, whose images have one size, to `out`, `[images, width]`.
    pub(crate) fn forward(&self, batch: &PixelBatch, out: &mut [f32]) -> Result<()> {
        match &self.workspaces {
            AnyWorkspaces::F32(workspaces) => self.passes(batch, workspaces, out),
            AnyWorkspaces::Bf16(workspaces) => self.passes(batch, workspaces, out),
        }
    }

    /// Each thread takes images of its own through the whole model, and waits for nobody; fewer images than threads are shared
    /// product by product.
    fn passes<T: Number>(&self, batch: &PixelBatch, workspaces: &Workspaces<T>, out: &mut [f32]) -> Result<()> {
        let image = batch.size().ok_or_else(|| Error::new(ErrorKind::Internal, "a pass over images of many sizes"))?;
        let frame = self.frames.get(image, || Ok(self.frame(image)))?;
        let (images, threads) = (batch.len(), rayon::current_num_threads());
        let most = (ROWS_PER_PASS / frame.tokens).max(1);
        let (per_pass, own) = if images < threads || threads == 1 {
            (threads * most, false)
        } else {
            // As many as make every thread end at about the same time.
            (images.div_ceil(images.div_ceil(most).next_multiple_of(threads)), true)
        };
        let (pixels, vectors) = (per_pass * 3 * image.0 * image.1, per_pass * self.shape.width());
        let pass = |threads, pixels: &[u8], out: &mut [f32]| {
            workspaces.with(|workspace| self.pass(&frame, pixels, workspace, out, threads))
        };
        if own {
            let passes = batch.data().par_chunks(pixels).zip(out.par_chunks_mut(vectors)).with_max_len(1);
            passes.try_for_each(|(pixels, out)| pass(Threads::One, pixels, out))
        } else {
            let mut passes = batch.data().chunks(pixels).zip(out.chunks_mut(vectors));
            passes.try_for_each(|(pixels, out)| pass(Threads::All, pixels, out))
        }
    }

    fn frame(&self, image: (usize, usize)) -> Frame {
        let grid = self.shape.grid(image);
        let mut start = self.prefix.clone();
        start.extend(self.positions.at(grid, self.shape.hidden));
        let rotary = match self.shape.positions {
            PositionShape::Rotary { theta } => {
                Some(Rotary::new(grid, self.shape.head_size(), theta, self.shape.prefix))
            }
            PositionShape::Learnt { .. } | PositionShape::Waves | PositionShape::Relative => None,
        };
        Frame { image, tokens: self.shape.tokens(image), start, rotary }
    }

    /// The images of `pixels`.
    fn pass<T: Number>(
        &self,
        frame: &Frame,
        pixels: &[u8],
        workspace: &mut Workspace<T>,
        out: &mut [f32],
        threads: Threads,
    ) -> Result<()> {
        let (tokens, hidden) = (frame.tokens, self.shape.hidden);
        let images = out.len() / self.shape.width();
        self.embed(frame, images, pixels, workspace, threads)?;
        let mut kept = tokens;
        for (i, block) in self.blocks.iter().enumerate() {
            // Nothing reads the other tokens after the last block.
            let last = i + 1 == self.blocks.len();
            kept = if last && !self.shape.reads_all_tokens() { 1 } else { tokens };
            self.attend(block, frame, (images, kept), workspace, threads)?;
            self.mlp(block, images * kept, workspace, threads)?;
        }
        let Workspace { stream, ends, .. } = workspace;
        let [last, wide, spare] = ends;
        let rows = images * kept * hidden;
        let tokens_out = sized(last, rows);
        match &self.post_norm {
            Some(norm) => norm.apply(sized(stream, rows), tokens_out, threads)?,
            None => tokens_out.copy_from_slice(&stream[..rows]),
        }
        if let Some(pool) = &self.pool {
            let mut pooled = vec![0.0; images * hidden];
            pool.apply(tokens_out, tokens, Buffers { wide, spare, answers: stream, threads }, &mut pooled)?;
            self.finish(&pooled, out, threads)
        } else if self.shape.pooling == Pooling::Mean {
            let pooled = sized(stream, images * hidden);
            mean(tokens_out, tokens, self.shape.prefix..tokens, hidden, pooled);
            if let Some(norm) = &self.pooled_norm {
                let normed = sized(wide, images * hidden);
                norm.apply(pooled, normed, threads)?;
                self.finish(normed, out, threads)
            } else {
                self.finish(pooled, out, threads)
            }
        } else {
            self.finish(tokens_out, out, threads)
        }
    }

    /// Pixels to the first state of the residual stream.
    fn embed<T>(
        &self,
        frame: &Frame,
        images: usize,
        pixels: &[u8],
        workspace: &mut Workspace<T>,
        threads: Threads,
    ) -> Result<()> {
        let (image, hidden) = (frame.tokens * self.shape.hidden, self.shape.hidden);
        let Workspace { stream, ends: [before_norm, features, normed_features], .. } = workspace;
        let (height, width) = frame.image;
        let stream = sized(stream, images * image);
        // A norm has its result elsewhere.
        let (tokens, normed) = match &self.pre_norm {
            Some(norm) => (sized(before_norm, images * image), Some((norm, stream))),
            None => (stream, None),
        };
        threads.each(tokens, image, |tokens| {
            tokens.chunks_exact_mut(image).for_each(|tokens| tokens.copy_from_slice(&frame.start));
        });
        let before = self.prefix.len();
        match (&self.stem, &self.patch_norm) {
            (Stem::Patches(linear, patch), None) => {
                let patches = Patches { pixels, height, width, patch: *patch, skipped: before / hidden };
                linear.apply_patches(&patches, tokens, Then::Add, &threads).map_err(fit)?;
            }
            (stem, patch_norm) => {
                let mut features = sized(features, images * (image - before));
                match stem {
                    Stem::Patches(linear, patch) => {
                        let patches = Patches { pixels, height, width, patch: *patch, skipped: 0 };
                        let then = Then::Activate(Activation::Identity);
                        linear.apply_patches(&patches, features, then, &threads).map_err(fit)?;
                    }
                    Stem::Convolutions(stem) => stem.apply(pixels, features, threads)?,
                }
                if let Some(norm) = patch_norm {
                    let normed = sized(normed_features, features.len());
                    norm.apply(features, normed, threads)?;
                    features = normed;
                }
                threads.parts((features, image - before), (tokens, image), |features, tokens| {
                    let images = tokens.chunks_exact_mut(image).zip(features.chunks_exact(image - before));
                    images.for_each(|(tokens, features)| add(&mut tokens[before..], features));
                    Ok(())
                })?;
            }
        }
        match normed {
            Some((norm, stream)) => norm.apply(tokens, stream, threads),
            None => Ok(()),
        }
    }

    /// `x += out(attention(norm1(x)))` for the first `kept` tokens of each image, which are all that stays in the stream.
    fn attend<T: Number>(
        &self,
        block: &Block,
        frame: &Frame,
        (images, kept): (usize, usize),
        workspace: &mut Workspace<T>,
        threads: Threads,
    ) -> Result<()> {
        let (tokens, hidden) = (frame.tokens, self.shape.hidden);
        let stream = sized(&mut workspace.stream, images * tokens * hidden);
        let narrow = sized(&mut workspace.narrow, images * tokens * hidden);
        let wide = sized(&mut workspace.wide, images * tokens * 3 * hidden);
        block.norm1.apply(stream, narrow, threads)?;
        apply(&block.qkv, narrow, wide, Then::Activate(Activation::Identity), threads)?;
        let attention = Attention {
            cpu: self.cpu,
            tokens,
            hidden,
            heads: self.shape.heads,
            queries: kept,
            scores: block.scores.as_deref(),
            rotary: frame.rotary.as_ref(),
            threads,
        };
        let answers = &mut narrow[..images * kept * hidden];
        attention.apply(wide, answers)?;
        if kept < tokens {
            for image in 1..images {
                let first = image * tokens * hidden;
                stream.copy_within(first..first + kept * hidden, image * kept * hidden);
            }
        }
        apply(&block.out, answers, &mut stream[..images * kept * hidden], Then::Add, threads)
    }

    /// `x += mlp(norm2(x))` for the first `rows` of the stream.
    fn mlp<T: Number>(&self, block: &Block, rows: usize, workspace: &mut Workspace<T>, threads: Threads) -> Result<()> {
        let hidden = self.shape.hidden;
        let Workspace { stream, narrow, wide, spare, .. } = workspace;
        let (stream, narrow) = (sized(stream, rows * hidden), sized(narrow, rows * hidden));
        block.norm2.apply(stream, narrow, threads)?;
        block.mlp.add(narrow, wide, spare, stream, threads)
    }

    /// The head, and unit length where the model itself gives it.
    fn finish(&self, pooled: &[f32], out: &mut [f32], threads: Threads) -> Result<()> {
        match (&self.head, self.shape.head) {
            (Some(head), Some(shape)) => {
                let then = shape.activation.map_or(Activation::Identity, activation);
                apply(head, pooled, out, Then::Activate(then), threads)?;
            }
            _ => out.copy_from_slice(pooled),
        }
        if self.shape.normalized {
            for row in out.chunks_exact_mut(self.shape.width()) {
                // The floor is that of the model's definition.
                let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                scale_by(row, 1.0 / length.max(1e-12));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for CpuModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CpuModel").field("cpu", &self.cpu).field("shape", &self.shape).finish_non_exhaustive()
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
