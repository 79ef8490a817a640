//! Running a model with candle's own operations, on any device that candle knows and in any of its number types.
//!
//! The GPU path; and, on the CPU, the plain account of the computation that the tests hold [`crate::cpu`] against.

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::ops::{layer_norm, softmax_last_dim};
use imbed_core::options::Pooling;

use crate::{
    activation::Activation,
    architecture::{Architecture, StemShape},
    model::{Block, Conv, ConvStage, Linear, Norm, Stem, VisionTransformer},
};

/// A model on a device.
#[derive(Debug)]
pub(crate) struct TensorModel {
    model: VisionTransformer,
    device: Device,
    dtype: DType,
}

impl TensorModel {
    /// Moves the weights to `device` as `dtype`.
    pub(crate) fn new(model: VisionTransformer, device: &Device, dtype: DType) -> Result<Self> {
        let to = |tensor: &Tensor| tensor.to_device(device)?.to_dtype(dtype)?.contiguous();
        let norm = |n: &Norm| -> Result<Norm> { Ok(Norm { weight: to(&n.weight)?, bias: to(&n.bias)? }) };
        let linear = |l: &Linear| -> Result<Linear> {
            Ok(Linear { weight: to(&l.weight)?, bias: l.bias.as_ref().map(to).transpose()? })
        };
        let conv = |c: &Conv| -> Result<Conv> { Ok(Conv { weight: to(&c.weight)?, bias: to(&c.bias)? }) };
        let stage = |s: &ConvStage| -> Result<ConvStage> {
            let pairs = s.pairs.iter().map(|(a, b)| Ok((conv(a)?, conv(b)?))).collect::<Result<_>>()?;
            Ok(ConvStage { down: conv(&s.down)?, pairs })
        };
        let block = |b: &Block| -> Result<Block> {
            Ok(Block {
                norm1: norm(&b.norm1)?,
                qkv: linear(&b.qkv)?,
                out: linear(&b.out)?,
                norm2: norm(&b.norm2)?,
                fc1: linear(&b.fc1)?,
                fc2: linear(&b.fc2)?,
            })
        };
        let moved = VisionTransformer {
            stem: match &model.stem {
                Stem::Patches(patches) => Stem::Patches(linear(patches)?),
                Stem::Convolutions(stages) => Stem::Convolutions(stages.iter().map(stage).collect::<Result<_>>()?),
            },
            class_token: model.class_token.as_ref().map(to).transpose()?,
            positions: to(&model.positions)?,
            pre_norm: model.pre_norm.as_ref().map(norm).transpose()?,
            blocks: model.blocks.iter().map(block).collect::<Result<_>>()?,
            post_norm: norm(&model.post_norm)?,
            head: model.head.as_ref().map(linear).transpose()?,
            architecture: model.architecture,
        };
        Ok(Self { model: moved, device: device.clone(), dtype })
    }

    /// The vectors, `[images * width]`, of normalised `pixels`, `[images, 3, height, width]`.
    pub(crate) fn forward(&self, pixels: Vec<f32>, images: usize) -> Result<Vec<f32>> {
        let shape = &self.model.architecture;
        let pixels = Tensor::from_vec(pixels, (images, 3, shape.image.0, shape.image.1), &Device::Cpu)?;
        let pixels = pixels.to_device(&self.device)?.to_dtype(self.dtype)?;
        let mut x = self.stem(&pixels)?;
        if let Some(class) = &self.model.class_token {
            let class = class.reshape((1, 1, shape.hidden))?.expand((images, 1, shape.hidden))?;
            x = Tensor::cat(&[&class, &x], 1)?;
        }
        x = x.broadcast_add(&self.model.positions)?;
        if let Some(norm) = &self.model.pre_norm {
            x = normed(&x, norm, shape.norm_eps)?;
        }
        for block in &self.model.blocks {
            x = (&x + attention(block, &normed(&x, &block.norm1, shape.norm_eps)?, shape.heads)?)?;
            let middle = activated(&linear(&normed(&x, &block.norm2, shape.norm_eps)?, &block.fc1)?, shape.activation)?;
            x = (x + linear(&middle, &block.fc2)?)?;
        }
        let x = normed(&x, &self.model.post_norm, shape.norm_eps)?;
        let pooled = match shape.pooling {
            Pooling::Mean => {
                let class = usize::from(shape.class_token);
                x.narrow(1, class, shape.tokens() - class)?.to_dtype(DType::F32)?.mean(1)?.to_dtype(self.dtype)?
            }
            Pooling::Cls | Pooling::Pooler => x.narrow(1, 0, 1)?.squeeze(1)?,
        };
        finished(shape, self.model.head.as_ref(), &pooled)?.flatten_all()?.to_vec1()
    }

    /// Pixels to patches, `[images, patches, hidden]`.
    fn stem(&self, pixels: &Tensor) -> Result<Tensor> {
        let shape = &self.model.architecture;
        match (&self.model.stem, &shape.stem) {
            (Stem::Patches(weights), StemShape::Patches(height, width)) => {
                let (rows, columns) = shape.grid();
                let images = pixels.dim(0)?;
                let patches = pixels
                    .narrow(2, 0, rows * height)?
                    .narrow(3, 0, columns * width)?
                    .reshape(vec![images, 3, rows, *height, columns, *width])?
                    .permute(vec![0, 2, 4, 1, 3, 5])?
                    .reshape((images, rows * columns, 3 * height * width))?;
                linear(&patches, weights)
            }
            (Stem::Convolutions(stages), _) => {
                let mut x = pixels.clone();
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

fn conv(x: &Tensor, conv: &Conv, stride: usize) -> Result<Tensor> {
    x.conv2d(&conv.weight, 1, stride, 1, 1)?.broadcast_add(&conv.bias.reshape((1, (), 1, 1))?)
}

fn linear(x: &Tensor, linear: &Linear) -> Result<Tensor> {
    let x = x.broadcast_matmul(&linear.weight.t()?)?;
    linear.bias.as_ref().map_or(Ok(x.clone()), |bias| x.broadcast_add(bias))
}

fn normed(x: &Tensor, norm: &Norm, eps: f64) -> Result<Tensor> {
    layer_norm(&x.contiguous()?, &norm.weight, &norm.bias, eps as f32)
}

/// `out(softmax(q k^T / sqrt(d)) v)` of `x`, `[images, tokens, hidden]`.
fn attention(block: &Block, x: &Tensor, heads: usize) -> Result<Tensor> {
    let (images, tokens, hidden) = x.dims3()?;
    let size = hidden / heads;
    let qkv = linear(x, &block.qkv)?.reshape((images, tokens, 3, heads, size))?.permute((2, 0, 3, 1, 4))?;
    let [q, k, v] = [qkv.get(0)?.contiguous()?, qkv.get(1)?.contiguous()?, qkv.get(2)?.contiguous()?];
    let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? / (size as f64).sqrt())?;
    let answers = softmax_last_dim(&scores)?.matmul(&v)?;
    linear(&answers.transpose(1, 2)?.reshape((images, tokens, hidden))?, &block.out)
}

fn activated(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::Silu => x.silu(),
        Activation::Tanh => x.tanh(),
    }
}

/// The head, in f32 at the end, and unit length where the model itself gives it.
fn finished(shape: &Architecture, head: Option<&Linear>, pooled: &Tensor) -> Result<Tensor> {
    let mut x = pooled.contiguous()?;
    if let (Some(head), Some(shape)) = (head, shape.head) {
        x = linear(&x, head)?;
        if let Some(activation) = shape.activation {
            x = activated(&x, activation)?;
        }
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
    use imbed_core::{PixelBatch, options::Pooling, preprocess::Normalize};

    use super::*;
    use crate::{cpu::CpuModel, families, source::Source};

    const NORMALIZE: Normalize = Normalize { scale: 1.0 / 255.0, mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.3] };

    /// The vectors of both runners for five images of noise, and the width of each.
    fn both(model: &str, pooling: Option<Pooling>, dtype: DType) -> (Vec<f32>, Vec<f32>, usize) {
        let source = Source::find(model).unwrap();
        let load = || {
            let weights = source.weights().unwrap();
            let shape = families::describe(&source.config().unwrap(), &|name| weights.contains(name), pooling).unwrap();
            families::load(&shape, weights).unwrap()
        };
        let shape = load().architecture;
        let (height, width) = shape.image;
        let data = (0..5 * height * width * 3).map(|i: usize| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let pixels = PixelBatch::from_vec(data, height, width).unwrap();
        let mut normalised = vec![0.0; pixels.data().len()];
        NORMALIZE.apply(&pixels, &mut normalised);
        let plain = TensorModel::new(load(), &Device::Cpu, dtype).unwrap().forward(normalised, 5).unwrap();
        let mut fast = vec![0.0; 5 * shape.width()];
        CpuModel::new(load()).unwrap().forward(&pixels, &NORMALIZE, &mut fast);
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
        assert_close(crate::source::BUILTIN, None, DType::F32, 1e-5);
        for pooling in [Pooling::Cls, Pooling::Mean, Pooling::Pooler] {
            assert_close(&fixture("vit"), Some(pooling), DType::F32, 1e-5);
        }
    }

    #[test]
    fn half_precision_stays_near_single_precision() {
        for name in ["clip", "vit"] {
            assert_close(&fixture(name), None, DType::F16, 2e-2);
        }
    }
}
