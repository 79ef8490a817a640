//! What is computed between products: in one pass each where the device has a kernel of ours for it, else with candle's operations.

use candle_core::{DType, Result, Tensor};
use candle_nn::ops::{layer_norm, rms_norm};
use imbed_core::preprocess::Normalize;
use imbed_vision::{
    Activation, Architecture,
    architecture::NormKind,
    model::{Linear, Norm},
};

#[cfg(feature = "cuda")]
use super::cuda;
use super::fold::QUICK_GELU;

/// `x weight^T`.
pub(super) fn product(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.broadcast_matmul(&weight.t()?)
}

/// `activation(x weight^T + bias)`.
pub(super) fn linear(x: &Tensor, linear: &Linear<Tensor>, activation: Option<Activation>) -> Result<Tensor> {
    let mut x = product(x, &linear.weight)?;
    if let Some(bias) = &linear.bias {
        #[cfg(feature = "cuda")]
        if cuda::takes(&x) {
            return cuda::bias(&x, bias, activation);
        }
        x = x.broadcast_add(bias)?;
    }
    activation.map_or(Ok(x.clone()), |activation| activated(&x, activation))
}

pub(super) fn activated(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::QuickGelu => x * candle_nn::ops::sigmoid(&(x * QUICK_GELU)?)?,
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
        Activation::Relu => x.relu(),
        Activation::Silu => x.silu(),
        Activation::Tanh => x.tanh(),
    }
}

/// `x weight^T + bias` of `x`, `[images, tokens, hidden]`, as `[parts, images, heads, tokens, size of a head]`.
pub(super) fn heads(x: &Tensor, linear: &Linear<Tensor>, parts: usize, heads: usize) -> Result<Tensor> {
    let mut x = product(x, &linear.weight)?;
    let (images, tokens, columns) = x.dims3()?;
    #[cfg(feature = "cuda")]
    if cuda::takes(&x) {
        return cuda::heads(&x, &*or_zeros(linear.bias.as_ref(), columns, &x)?, parts, heads);
    }
    if let Some(bias) = &linear.bias {
        x = x.broadcast_add(bias)?;
    }
    let size = columns / parts / heads;
    x.reshape((images, tokens, parts, heads, size))?.permute((2, 0, 3, 1, 4))?.contiguous()
}

/// `x`, `[images, heads, tokens, size of a head]`, as `[images, tokens, hidden]`.
pub(super) fn joined(x: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if cuda::takes(x) {
        return cuda::joined(x);
    }
    let (images, heads, tokens, size) = x.dims4()?;
    x.transpose(1, 2)?.reshape((images, tokens, heads * size))
}

pub(super) fn normed(x: &Tensor, norm: &Norm<Tensor>, shape: &Architecture) -> Result<Tensor> {
    let (x, eps) = (x.contiguous()?, shape.norm_eps as f32);
    match (shape.norm, &norm.bias) {
        (NormKind::Layer, Some(bias)) => layer_norm(&x, &norm.weight, bias, eps),
        (NormKind::Layer, None) => layer_norm(&x, &norm.weight, &norm.weight.zeros_like()?, eps),
        (NormKind::Rms, _) => rms_norm(&x, &norm.weight, eps),
    }
}

/// `x + (y weight^T + bias)`, and its norm.
pub(super) fn add_normed(
    x: &Tensor,
    y: &Tensor,
    linear: &Linear<Tensor>,
    norm: &Norm<Tensor>,
    shape: &Architecture,
) -> Result<(Tensor, Tensor)> {
    #[cfg(feature = "cuda")]
    if cuda::takes(x) {
        let bias = or_zeros(linear.bias.as_ref(), shape.hidden, x)?;
        let shift = or_zeros(norm.bias.as_ref(), shape.hidden, x)?;
        let norm = cuda::Norm {
            weight: &norm.weight,
            bias: &shift,
            eps: shape.norm_eps as f32,
            root_mean_square: shape.norm == NormKind::Rms,
        };
        return cuda::add_norm(&x.contiguous()?, &product(y, &linear.weight)?, &bias, norm);
    }
    let sum = (x + self::linear(y, linear, None)?)?;
    let normed = normed(&sum, norm, shape)?;
    Ok((sum, normed))
}

/// The bytes `[images, height, width, 3]` normalised, as `[images, patches, 3 * height * width of a patch]`.
pub(super) fn patches(
    pixels: &Tensor,
    grid: (usize, usize),
    patch: (usize, usize),
    normalize: &Normalize,
    dtype: DType,
) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if pixels.device().is_cuda() && pixels.elem_count() < u32::MAX as usize / 2 {
        return cuda::patches(pixels, grid, patch, normalize, dtype);
    }
    let ((rows, columns), (height, width)) = (grid, patch);
    planes(pixels, normalize, dtype)?
        .narrow(2, 0, rows * height)?
        .narrow(3, 0, columns * width)?
        .reshape(vec![pixels.dim(0)?, 3, rows, height, columns, width])?
        .permute(vec![0, 2, 4, 1, 3, 5])?
        .reshape((pixels.dim(0)?, rows * columns, 3 * height * width))
}

/// The bytes `[images, height, width, 3]` normalised, as `[images, 3, height, width]`.
pub(super) fn planes(pixels: &Tensor, normalize: &Normalize, dtype: DType) -> Result<Tensor> {
    let channels = |number: &dyn Fn(usize) -> f64| {
        Tensor::new([0, 1, 2].map(|channel| number(channel) as f32).as_slice(), pixels.device())?.reshape((1, 3, 1, 1))
    };
    let factor = channels(&|channel| normalize.scale / normalize.std[channel])?;
    let shift = channels(&|channel| normalize.mean[channel] / normalize.std[channel])?;
    let pixels = pixels.permute((0, 3, 1, 2))?.contiguous()?.to_dtype(DType::F32)?;
    pixels.broadcast_mul(&factor)?.broadcast_sub(&shift)?.to_dtype(dtype)
}

/// What is there, or as many zeros, of the type and on the device of `like`.
#[cfg(feature = "cuda")]
fn or_zeros<'a>(there: Option<&'a Tensor>, size: usize, like: &Tensor) -> Result<std::borrow::Cow<'a, Tensor>> {
    Ok(match there {
        Some(tensor) => std::borrow::Cow::Borrowed(tensor),
        None => std::borrow::Cow::Owned(Tensor::zeros(size, like.dtype(), like.device())?),
    })
}
