//! Running a model with candle's own operations, on any device that candle knows and in any of its number types.
//!
//! The GPU path; and, on the CPU, the plain account of the computation that the tests hold [`crate::cpu`] against.

#[cfg(feature = "cuda")]
mod cuda;
mod fold;
mod ops;

use std::sync::Arc;

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use imbed_core::{options::Pooling, preprocess::Normalize};
use imbed_vision::{
    Architecture, PerSize, Rotary, VisionTransformer,
    architecture::{MlpKind, PositionShape, StemShape},
    model::{AttentionPool, Block, Conv, Linear, Mlp, Stem},
};

use self::ops::{activated, add_normed, heads, joined, linear, normed, patches, planes};
use crate::device;

/// A model on a device.
#[derive(Debug)]
pub(crate) struct TensorModel {
    /// As [`fold::into_weights`] leaves it.
    model: VisionTransformer<Tensor>,
    frames: PerSize<Frame>,
    normalize: Normalize,
    device: Device,
    dtype: DType,
}

/// What all images of one size have in common.
#[derive(Debug)]
struct Frame {
    /// Of the patches, `[patches, hidden]`.
    positions: Tensor,
    /// The cosines and sines of all tokens, `[tokens, half]` each.
    rotary: Option<(Tensor, Tensor)>,
}

impl TensorModel {
    /// Moves the weights to `device` as `dtype`, for bytes that are normalised as `normalize` says.
    pub(crate) fn new(
        model: VisionTransformer<Tensor>,
        normalize: &Normalize,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        let mut model = model.try_map(|tensor| tensor.to_device(device))?;
        fold::into_weights(&mut model)?;
        let model = model.try_map(|tensor| tensor.to_dtype(dtype)?.contiguous())?;
        // Whoever runs the model may do so from another thread, whose work a GPU does not put behind this one's.
        device.synchronize()?;
        Ok(Self { model, frames: PerSize::default(), normalize: *normalize, device: device.clone(), dtype })
    }

    /// The vectors, `[images * width]`, of `pixels`, `[images, height, width, 3]`, which have the size `image`.
    pub(crate) fn forward(&self, pixels: &[u8], image: (usize, usize)) -> imbed_core::Result<Vec<f32>> {
        let frame = self.frames.get(image, || self.frame(image).map_err(device::failed))?;
        self.run(pixels, image, &frame).map_err(device::failed)
    }

    fn run(&self, pixels: &[u8], image: (usize, usize), frame: &Arc<Frame>) -> Result<Vec<f32>> {
        let shape = &self.model.architecture;
        let images = pixels.len() / (3 * image.0 * image.1);
        // Bytes move to the device, a quarter of what normalised pixels take.
        let pixels = Tensor::from_slice(pixels, (images, image.0, image.1, 3), &self.device)?;
        let mut x = self.stem(&pixels, shape.grid(image))?;
        if let Some(norm) = &self.model.patch_norm {
            x = normed(&x, norm, shape)?;
        }
        x = x.broadcast_add(&frame.positions)?;
        if let Some(prefix) = &self.model.prefix {
            let prefix = prefix.unsqueeze(0)?.expand((images, shape.prefix, shape.hidden))?;
            x = Tensor::cat(&[&prefix, &x], 1)?;
        }
        if let Some(norm) = &self.model.pre_norm {
            x = normed(&x, norm, shape)?;
        }
        let blocks = &self.model.blocks;
        let mut next = None;
        for (i, block) in blocks.iter().enumerate() {
            let y = next.take().map_or_else(|| normed(&x, &block.norm1, shape), Ok)?;
            // Nothing reads the other tokens after the last block.
            let only_first = i + 1 == blocks.len() && !shape.reads_all_tokens();
            let answers = attention(block, &y, shape.heads, frame.rotary.as_ref(), only_first)?;
            if only_first {
                x = x.narrow(1, 0, 1)?.contiguous()?;
            }
            let (sum, y) = add_normed(&x, &answers, &block.out, &block.norm2, shape)?;
            let y = middle(&block.mlp, &y, shape)?;
            let after = blocks.get(i + 1).map(|block| &block.norm1).or(self.model.post_norm.as_ref());
            (x, next) = match after {
                Some(norm) => {
                    let (sum, y) = add_normed(&sum, &y, &block.mlp.fc2, norm, shape)?;
                    (sum, Some(y))
                }
                None => ((sum + linear(&y, &block.mlp.fc2, None)?)?, None),
            };
        }
        // After the last block that is its norm.
        x = next.unwrap_or(x);
        let mut pooled = match (&self.model.pool, shape.pooling) {
            (Some(pool), _) => attention_pool(pool, &x, shape)?,
            (None, Pooling::Mean) => {
                let patches = shape.tokens(image) - shape.prefix;
                x.narrow(1, shape.prefix, patches)?.to_dtype(DType::F32)?.mean(1)?.to_dtype(self.dtype)?
            }
            (None, Pooling::Cls | Pooling::Pooler) => x.narrow(1, 0, 1)?.squeeze(1)?,
        };
        if let Some(norm) = &self.model.pooled_norm {
            pooled = normed(&pooled, norm, shape)?;
        }
        finished(shape, self.model.head.as_ref(), &pooled)?.flatten_all()?.to_vec1()
    }

    fn frame(&self, image: (usize, usize)) -> Result<Frame> {
        let shape = &self.model.architecture;
        let grid = shape.grid(image);
        let tensor = |numbers: Vec<f32>, columns: usize| {
            let rows = numbers.len() / columns;
            Tensor::from_vec(numbers, (rows, columns), &Device::Cpu)?.to_device(&self.device)?.to_dtype(self.dtype)
        };
        let positions = tensor(self.model.positions.at(grid, shape.hidden), shape.hidden)?;
        let rotary = match shape.positions {
            PositionShape::Rotary { theta } => {
                let Rotary { cos, sin, half, prefix } = Rotary::new(grid, shape.head_size(), theta, shape.prefix);
                // The tokens before the patches turn by nothing.
                let all = |start: f32, numbers: Vec<f32>| [vec![start; prefix * half], numbers].concat();
                Some((tensor(all(1.0, cos), half)?, tensor(all(0.0, sin), half)?))
            }
            PositionShape::Learnt { .. } | PositionShape::Waves | PositionShape::Relative => None,
        };
        Ok(Frame { positions, rotary })
    }

    /// Bytes, `[images, height, width, 3]`, to patches, `[images, patches, hidden]`.
    fn stem(&self, pixels: &Tensor, grid: (usize, usize)) -> Result<Tensor> {
        match (&self.model.stem, &self.model.architecture.stem) {
            (Stem::Patches(weights), StemShape::Patches(height, width)) => {
                linear(&patches(pixels, grid, (*height, *width), &self.normalize, self.dtype)?, weights, None)
            }
            (Stem::Convolutions(stages), _) => {
                let mut x = planes(pixels, &self.normalize, self.dtype)?;
                for stage in stages {
                    x = conv(&x, &stage.down, 2)?.relu()?;
                    for (first, second) in &stage.pairs {
                        x = (&x + conv(&conv(&x, first, 1)?.relu()?, second, 1)?)?.relu()?;
                    }
                }
                x.flatten_from(2)?.transpose(1, 2)?.contiguous()
            }
            (Stem::Patches(_), StemShape::Convolutions(_)) => candle_core::bail!("the stem is not the architecture's"),
        }
    }
}

fn conv(x: &Tensor, conv: &Conv<Tensor>, stride: usize) -> Result<Tensor> {
    x.conv2d(&conv.weight, 1, stride, 1, 1)?.broadcast_add(&conv.bias.reshape((1, (), 1, 1))?)
}

/// `softmax(q k^T / sqrt(d)) v` of `x`, `[images, tokens, hidden]`, where the division is in the weights of `q`: the answers
/// to all tokens, or to the first of each image alone.
fn attention(
    block: &Block<Tensor>,
    x: &Tensor,
    many: usize,
    rotary: Option<&(Tensor, Tensor)>,
    only_first: bool,
) -> Result<Tensor> {
    let qkv = heads(x, &block.qkv, 3, many)?;
    let (mut q, mut k, v) = (qkv.get(0)?, qkv.get(1)?, qkv.get(2)?);
    if let Some(rotary) = rotary {
        (q, k) = (turned(&q, rotary)?, turned(&k, rotary)?);
    }
    let asking = if only_first { 1 } else { x.dim(1)? };
    let mut scores = q.narrow(2, 0, asking)?.contiguous()?.matmul(&k.transpose(2, 3)?)?;
    if let Some(more) = &block.scores {
        scores = scores.broadcast_add(&more.narrow(1, 0, asking)?)?;
    }
    joined(&softmax_last_dim(&scores)?.matmul(&v)?)
}

/// Each head's numbers `[images, heads, tokens, size]`, number `i` turned together with number `i + size / 2`.
fn turned(x: &Tensor, (cos, sin): &(Tensor, Tensor)) -> Result<Tensor> {
    let half = x.dim(D::Minus1)? / 2;
    let (a, b) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
    let first = (a.broadcast_mul(cos)? - b.broadcast_mul(sin)?)?;
    let second = (b.broadcast_mul(cos)? + a.broadcast_mul(sin)?)?;
    Tensor::cat(&[first, second], D::Minus1)
}

/// What the MLP's last product is given.
fn middle(mlp: &Mlp<Tensor>, x: &Tensor, shape: &Architecture) -> Result<Tensor> {
    match shape.mlp {
        MlpKind::Plain => linear(x, &mlp.fc1, Some(fold::activation(shape))),
        MlpKind::Gated => {
            let wide = linear(x, &mlp.fc1, None)?;
            let half = wide.dim(D::Minus1)? / 2;
            let (gate, up) = (wide.narrow(D::Minus1, 0, half)?.contiguous()?, wide.narrow(D::Minus1, half, half)?);
            activated(&gate, shape.activation)? * up
        }
    }
}

/// What the learnt query reads from `x`, `[images, tokens, hidden]`.
fn attention_pool(pool: &AttentionPool<Tensor>, x: &Tensor, shape: &Architecture) -> Result<Tensor> {
    let (images, _, hidden) = x.dims3()?;
    let (heads, size) = (shape.heads, shape.head_size());
    let kv = ops::heads(x, &pool.kv, 2, heads)?;
    let (k, v) = (kv.get(0)?, kv.get(1)?);
    let query = pool.query.reshape((1, heads, 1, size))?.expand((images, heads, 1, size))?.contiguous()?;
    let scores = (query.matmul(&k.transpose(2, 3)?)? / (size as f64).sqrt())?;
    let answer = softmax_last_dim(&scores)?.matmul(&v)?.reshape((images, hidden))?;
    let answer = linear(&answer, &pool.out, None)?;
    match &pool.mlp {
        Some((norm, mlp)) => &answer + linear(&middle(mlp, &normed(&answer, norm, shape)?, shape)?, &mlp.fc2, None)?,
        None => Ok(answer),
    }
}

/// The head, in f32 at the end, and unit length where the model itself gives it.
fn finished(shape: &Architecture, head: Option<&Linear<Tensor>>, pooled: &Tensor) -> Result<Tensor> {
    let mut x = pooled.contiguous()?;
    if let (Some(head), Some(shape)) = (head, shape.head) {
        x = linear(&x, head, shape.activation)?;
    }
    let x = x.to_dtype(DType::F32)?;
    if !shape.normalized {
        return Ok(x);
    }
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?.maximum(1e-12)?;
    x.broadcast_div(&length)
}

#[cfg(test)]
mod tests {
    use imbed_core::{
        EmbedOptions, PixelBatch,
        options::{Dtype, Pooling},
    };
    use imbed_kernels::Cpu;
    use imbed_vision::{CheckpointDescription, architecture::ImageShape, source::BUILTIN};

    use super::*;
    use crate::{
        cpu::{CpuModel, Precisions},
        model::with_tensors,
    };

    const NORMALIZE: Normalize = Normalize { scale: 1.0 / 255.0, mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.3] };

    /// What is described, on the kernels.
    fn kernels(described: &CheckpointDescription) -> CpuModel {
        let cpu = Cpu::detect().unwrap();
        let precisions = Precisions::of(Dtype::F32, cpu).unwrap();
        CpuModel::new(described.load().unwrap(), &NORMALIZE, cpu, precisions).unwrap()
    }

    /// The vectors of both runners for five images of noise, and the width of each.
    fn both(model: &str, pooling: Option<Pooling>, dtype: DType) -> (Vec<f32>, Vec<f32>, usize) {
        let options = EmbedOptions { pooling, ..Default::default() };
        let described = CheckpointDescription::read(model, &options).unwrap();
        let load = || with_tensors(described.load().unwrap()).unwrap();
        let shape = load().architecture;
        let ImageShape::Fixed(height, width) = shape.image else { panic!("images of any size") };
        let data = (0..5 * height * width * 3).map(|i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let pixels = PixelBatch::from_vec(data, height, width).unwrap();
        let plain = TensorModel::new(load(), &NORMALIZE, &Device::Cpu, dtype).unwrap();
        let plain = plain.forward(pixels.data(), (height, width)).unwrap();
        let mut fast = vec![0.0; 5 * shape.width()];
        kernels(&described).forward(&pixels, &mut fast).unwrap();
        (fast, plain, shape.width())
    }

    fn assert_close(model: &str, pooling: Option<Pooling>, dtype: DType, tolerance: f32) {
        let (fast, plain, width) = both(model, pooling, dtype);
        for (fast, plain) in fast.chunks_exact(width).zip(plain.chunks_exact(width)) {
            let length = |v: &mut dyn Iterator<Item = f32>| v.map(|x| x * x).sum::<f32>().sqrt();
            let error = length(&mut fast.iter().zip(plain).map(|(a, b)| a - b)) / length(&mut plain.iter().copied());
            assert!(error <= tolerance, "{model}, {pooling:?}, {dtype:?}: relative error {error:e}");
        }
    }

    fn fixture(name: &str) -> String {
        format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn candle_and_the_kernels_of_this_crate_agree() {
        for name in ["clip", "clip-vision-f16", "clip-vision-bare", "vit", "vit-bf16-sharded"] {
            assert_close(&fixture(name), None, DType::F32, 1e-5);
        }
        assert_close(BUILTIN, None, DType::F32, 1e-5);
        for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Pooler] {
            assert_close(&fixture("vit"), Some(pooling), DType::F32, 1e-5);
        }
        for name in ["siglip", "siglip-bare", "deit", "dinov2", "dinov2-swiglu", "dinov2-registers"] {
            assert_close(&fixture(name), None, DType::F32, 1e-5);
        }
        for name in ["dinov3", "dinov3-gated", "beit", "beit-shared", "aimv2-lit", "aimv2-native"] {
            assert_close(&fixture(name), None, DType::F32, 1e-5);
        }
    }

    #[test]
    fn both_resample_positions_and_read_every_grid_alike() {
        let described = CheckpointDescription::read(&fixture("siglip2-naflex"), &EmbedOptions::default()).unwrap();
        let load = || with_tensors(described.load().unwrap()).unwrap();
        let plain = TensorModel::new(load(), &NORMALIZE, &Device::Cpu, DType::F32).unwrap();
        let fast = kernels(&described);
        for image in [(32, 32), (16, 64), (8, 8), (96, 8)] {
            let data = (0..image.0 * image.1 * 3).map(|i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
            let pixels = PixelBatch::from_vec(data, image.0, image.1).unwrap();
            let plain = plain.forward(pixels.data(), image).unwrap();
            let mut ours = vec![0.0; plain.len()];
            fast.forward(&pixels, &mut ours).unwrap();
            for (ours, plain) in ours.iter().zip(plain) {
                assert!((ours - plain).abs() < 1e-4, "{image:?}: {ours}, not {plain}");
            }
        }
    }

    #[test]
    fn half_precision_stays_near_single_precision() {
        for name in ["clip", "vit", "siglip", "dinov2-registers", "dinov3-gated", "aimv2-lit"] {
            assert_close(&fixture(name), None, DType::F16, 2e-2);
        }
    }
}
