//! The passes between products on an NVIDIA GPU, by kernels of our own: each reads its tensors once and writes its result once.
//!
//! candle's own operations would take several passes for each, and, where a tensor is broadcast or its axes change places, slow ones.

mod launch;

use candle_core::{
    CudaStorage, DType, Layout, Result, Shape, Tensor,
    cuda_backend::cudarc::driver::{LaunchConfig, PushKernelArg},
};
use imbed_core::preprocess::Normalize;
use imbed_vision::Activation;

use self::launch::{Kernel, Number, by_number, launch, made, numbers, with};

/// Whether the kernels take `tensor`: by where it is, by its type and by its size, as they count in 32 bits.
pub(super) fn takes(tensor: &Tensor) -> bool {
    tensor.device().is_cuda()
        && matches!(tensor.dtype(), DType::F32 | DType::F16 | DType::BF16)
        && tensor.elem_count() < u32::MAX as usize / 2
}

/// An error unless `size` is so many wholes of `part`.
fn whole(size: usize, part: usize) -> Result<()> {
    if part == 0 || !size.is_multiple_of(part) {
        candle_core::bail!("{size} numbers are not whole rows of {part}")
    }
    Ok(())
}

/// `activation(x + bias)` of rows as wide as `bias`.
pub(super) fn bias(x: &Tensor, bias: &Tensor, activation: Option<Activation>) -> Result<Tensor> {
    fn run<T: Number>(x: &CudaStorage, at: &Layout, bias: &Tensor, function: i32) -> Result<(CudaStorage, Shape)> {
        let (size, columns) = (at.shape().elem_count(), bias.elem_count());
        whole(size, columns)?;
        let kernel = Kernel::<T>::new(x, "bias", columns, &[at.start_offset(), bias.layout().start_offset()])?;
        let out = kernel.room(size)?;
        with::<T, _>(bias, columns, |bias| {
            let (x, size, columns) = (numbers::<T>(x, at)?, size as u32, columns as u32);
            let mut arguments = kernel.arguments();
            arguments.arg(&x).arg(&bias).arg(&out).arg(&size).arg(&columns).arg(&function);
            launch(arguments, kernel.over(size as usize))
        })?;
        Ok((kernel.storage(out), at.shape().clone()))
    }
    made("bias", x, |x, at| by_number!(x, T => run::<T>(x, at, bias, function(activation))))
}

/// The number by which the kernels know a function.
fn function(activation: Option<Activation>) -> i32 {
    match activation {
        None => 0,
        Some(Activation::QuickGelu) => 1,
        Some(Activation::Gelu) => 2,
        Some(Activation::GeluTanh) => 3,
        Some(Activation::Relu) => 4,
        Some(Activation::Silu) => 5,
        Some(Activation::Tanh) => 6,
    }
}

/// A norm over the last axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm<'a> {
    pub(super) weight: &'a Tensor,
    pub(super) bias: &'a Tensor,
    pub(super) eps: f32,
    pub(super) root_mean_square: bool,
}

/// `x + (product + bias)`, and the norm of that.
pub(super) fn add_norm(x: &Tensor, product: &Tensor, bias: &Tensor, norm: Norm<'_>) -> Result<(Tensor, Tensor)> {
    fn run<T: Number>(
        x: &CudaStorage,
        at: &Layout,
        product: &Tensor,
        bias: &Tensor,
        norm: Norm<'_>,
    ) -> Result<(CudaStorage, Shape)> {
        let (size, columns) = (at.shape().elem_count(), bias.elem_count());
        whole(size, columns)?;
        let rows = size / columns;
        let starts = [product, bias, norm.weight, norm.bias].map(|tensor| tensor.layout().start_offset());
        let kernel = Kernel::<T>::new(x, "add_norm", columns, &[&starts[..], &[at.start_offset()]].concat())?;
        let out = kernel.room(2 * size)?;
        with::<T, _>(product, size, |product| {
            with::<T, _>(bias, columns, |bias| {
                with::<T, _>(norm.weight, columns, |weight| {
                    with::<T, _>(norm.bias, columns, |shift| {
                        let x = numbers::<T>(x, at)?;
                        let (rows, columns, kind) = (rows as u32, columns as u32, i32::from(norm.root_mean_square));
                        let mut arguments = kernel.arguments();
                        arguments.arg(&x).arg(&product).arg(&bias).arg(&weight).arg(&shift).arg(&out);
                        arguments.arg(&rows).arg(&columns).arg(&norm.eps).arg(&kind);
                        // A warp for each row.
                        let grid = LaunchConfig {
                            grid_dim: (rows.div_ceil(8), 1, 1),
                            block_dim: (256, 1, 1),
                            shared_mem_bytes: 0,
                        };
                        launch(arguments, grid)
                    })
                })
            })
        })?;
        Ok((kernel.storage(out), Shape::from([&[2], at.shape().dims()].concat())))
    }
    let both = made("add_norm", x, |x, at| by_number!(x, T => run::<T>(x, at, product, bias, norm)))?;
    Ok((both.get(0)?, both.get(1)?))
}

/// `x + bias`, `[images, tokens, parts * heads * width]`, as `[parts, images, heads, tokens, width]`.
pub(super) fn heads(x: &Tensor, bias: &Tensor, parts: usize, heads: usize) -> Result<Tensor> {
    fn run<T: Number>(
        x: &CudaStorage,
        at: &Layout,
        bias: &Tensor,
        parts: usize,
        heads: usize,
    ) -> Result<(CudaStorage, Shape)> {
        let (images, tokens, columns) = at.shape().dims3()?;
        whole(columns, parts * heads)?;
        let width = columns / parts / heads;
        let kernel = Kernel::<T>::new(x, "heads", width, &[at.start_offset(), bias.layout().start_offset()])?;
        let size = at.shape().elem_count();
        let out = kernel.room(size)?;
        with::<T, _>(bias, columns, |bias| {
            let x = numbers::<T>(x, at)?;
            let sizes = [images, tokens, parts, heads, width].map(|n| n as u32);
            let mut arguments = kernel.arguments();
            arguments.arg(&x).arg(&bias).arg(&out);
            for n in &sizes {
                arguments.arg(n);
            }
            launch(arguments, kernel.over(size))
        })?;
        Ok((kernel.storage(out), Shape::from(vec![parts, images, heads, tokens, width])))
    }
    made("heads", x, |x, at| by_number!(x, T => run::<T>(x, at, bias, parts, heads)))
}

/// `x`, `[images, heads, tokens, width]`, as `[images, tokens, heads * width]`.
pub(super) fn joined(x: &Tensor) -> Result<Tensor> {
    fn run<T: Number>(x: &CudaStorage, at: &Layout) -> Result<(CudaStorage, Shape)> {
        let (images, heads, tokens, width) = at.shape().dims4()?;
        let kernel = Kernel::<T>::new(x, "joined", width, &[at.start_offset()])?;
        let size = at.shape().elem_count();
        let out = kernel.room(size)?;
        let x = numbers::<T>(x, at)?;
        let sizes = [images, tokens, heads, width].map(|n| n as u32);
        let mut arguments = kernel.arguments();
        arguments.arg(&x).arg(&out);
        for n in &sizes {
            arguments.arg(n);
        }
        launch(arguments, kernel.over(size))?;
        Ok((kernel.storage(out), Shape::from((images, tokens, heads * width))))
    }
    made("joined", x, |x, at| by_number!(x, T => run::<T>(x, at)))
}

/// The bytes `[images, height, width, 3]`, normalised as `dtype`, as `[images, patches, 3 * rows * columns]` of `grid` patches
/// of `patch` pixels each; pixels beyond the last whole patch are left out.
pub(super) fn patches(
    pixels: &Tensor,
    grid: (usize, usize),
    patch: (usize, usize),
    normalize: &Normalize,
    dtype: DType,
) -> Result<Tensor> {
    fn run<T: Number>(
        pixels: &CudaStorage,
        at: &Layout,
        grid: (usize, usize),
        patch: (usize, usize),
        normalize: &Normalize,
    ) -> Result<(CudaStorage, Shape)> {
        let (images, height, width, channels) = at.shape().dims4()?;
        if channels != 3 || grid.0 * patch.0 > height || grid.1 * patch.1 > width {
            candle_core::bail!("patches of {patch:?} in {grid:?} do not fit into {height} x {width} x {channels}")
        }
        let (count, length) = (grid.0 * grid.1, 3 * patch.0 * patch.1);
        let kernel = Kernel::<T>::single(pixels, "patches")?;
        let size = images * count * length;
        let out = kernel.room(size)?;
        let pixels = numbers::<u8>(pixels, at)?;
        let sizes = [images, height, width, grid.0, grid.1, patch.0, patch.1].map(|n| n as u32);
        let factors = [0, 1, 2].map(|channel| (normalize.scale / normalize.std[channel]) as f32);
        let shifts = [0, 1, 2].map(|channel| (normalize.mean[channel] / normalize.std[channel]) as f32);
        let mut arguments = kernel.arguments();
        arguments.arg(&pixels).arg(&out);
        for n in &sizes {
            arguments.arg(n);
        }
        for number in factors.iter().chain(&shifts) {
            arguments.arg(number);
        }
        launch(arguments, kernel.over(size))?;
        Ok((kernel.storage(out), Shape::from((images, count, length))))
    }
    made("patches", pixels, |pixels, at| match dtype {
        DType::F32 => run::<f32>(pixels, at, grid, patch, normalize),
        DType::F16 => run::<half::f16>(pixels, at, grid, patch, normalize),
        DType::BF16 => run::<half::bf16>(pixels, at, grid, patch, normalize),
        other => candle_core::bail!("no patches of {other:?}"),
    })
}
