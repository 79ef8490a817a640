//! A loaded model.

use candle_core::DType;
use imbed_core::{BlockingImageEmbedder, Device, Error, ErrorKind, ImageBatch, PixelBatch, Result, options::Dtype};
use imbed_kernels::Cpu;
use imbed_vision::{
    Architecture, CheckpointDescription,
    architecture::{ImageShape, StemShape},
    embed_by_size,
};

use crate::{
    cpu::{CpuModel, Precisions, fastest},
    device,
    model::with_tensors,
    tensors::TensorModel,
};

/// A model on a device.
#[derive(Debug)]
pub(crate) struct CandleEmbedder {
    runner: Runner,
    device: Device,
    dtype: Dtype,
    shape: Architecture,
}

#[derive(Debug)]
enum Runner {
    /// On the processor.
    Cpu(Box<CpuModel>),
    /// With candle's operations.
    Tensors(Box<TensorModel>),
}

/// The processor, at the level that is asked for.
pub(crate) fn processor() -> Result<Cpu> {
    Cpu::detect().map_err(|e| {
        Error::new(ErrorKind::Config, e.to_string()).hint("unset IMBED_CPU, which is for tests and measurements")
    })
}

impl CandleEmbedder {
    /// Loads what is `described` on the processor, to compute in `dtype`.
    pub(crate) fn on_cpu(described: &CheckpointDescription, dtype: Dtype) -> Result<Self> {
        let cpu = processor()?;
        let normalize = described.normalize()?;
        let load = |dtype| {
            let precisions = Precisions::of(dtype, cpu)
                .ok_or_else(|| Error::new(ErrorKind::Internal, format!("the CPU has no arithmetic of '{dtype}'")))?;
            CpuModel::new(described.load()?, &normalize, cpu, precisions)
        };
        let shape = described.architecture().clone();
        let (dtype, model) = match dtype {
            Dtype::Auto => fastest(typical_size(&shape), load)?,
            dtype => (dtype, load(dtype)?),
        };
        Ok(Self { runner: Runner::Cpu(Box::new(model)), device: Device::Cpu, dtype, shape })
    }

    /// Loads what is `described` on `device`, which is `candle`, to compute in `dtype`.
    pub(crate) fn on_gpu(
        described: &CheckpointDescription,
        device: Device,
        candle: &candle_core::Device,
        dtype: Dtype,
    ) -> Result<Self> {
        let number = match dtype {
            Dtype::F32 => DType::F32,
            Dtype::Bf16 => DType::BF16,
            Dtype::F16 => DType::F16,
            Dtype::Int8 | Dtype::Auto => {
                return Err(Error::new(ErrorKind::Internal, format!("{device} has no arithmetic of '{dtype}'")));
            }
        };
        let model = described.load()?;
        let shape = model.architecture.clone();
        let normalize = described.normalize()?;
        let model = with_tensors(model).and_then(|model| TensorModel::new(model, &normalize, candle, number));
        let model = Box::new(model.map_err(device::failed)?);
        Ok(Self { runner: Runner::Tensors(model), device, dtype, shape })
    }

    /// One vector per image of `pixels`, which have this size.
    fn run(&self, pixels: &PixelBatch, size: (usize, usize), out: &mut [f32]) -> Result<()> {
        match &self.runner {
            Runner::Cpu(model) => model.forward(pixels, out),
            Runner::Tensors(model) => {
                out.copy_from_slice(&model.forward(pixels.data(), size)?);
                Ok(())
            }
        }
    }
}

/// Rows and columns of an image as the model mostly reads them.
fn typical_size(shape: &Architecture) -> (usize, usize) {
    match (shape.image, &shape.stem) {
        (ImageShape::Patches(most), StemShape::Patches(rows, columns)) => {
            let side = most.isqrt().max(1);
            (side * rows, side * columns)
        }
        (ImageShape::Fixed(rows, columns), _) => (rows, columns),
        (ImageShape::Patches(most), StemShape::Convolutions(_)) => (most, most),
    }
}

impl BlockingImageEmbedder for CandleEmbedder {
    fn width(&self) -> usize {
        self.shape.width()
    }

    fn device(&self) -> Device {
        self.device
    }

    fn dtype(&self) -> Option<Dtype> {
        Some(self.dtype)
    }

    fn embed(&self, batch: ImageBatch<'_>, out: &mut [f32]) -> Result<()> {
        embed_by_size(crate::NAME, &self.shape, batch, out, |pixels, size, out| self.run(pixels, size, out))
    }
}
