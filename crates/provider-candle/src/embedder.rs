//! A loaded model.

use candle_core::DType;
use imbed_core::{
    BlockingImageEmbedder, Device, ImageBatch, PixelBatch, Result, options::Dtype, preprocess::Normalize,
};
use imbed_vision::{Architecture, VisionTransformer, embed_by_size};

use crate::{cpu::CpuModel, device, model::with_tensors, tensors::TensorModel};

/// A model on a device, and the arithmetic that its pixels need first.
#[derive(Debug)]
pub(crate) struct CandleEmbedder {
    runner: Runner,
    normalize: Normalize,
    device: Device,
    shape: Architecture,
}

#[derive(Debug)]
enum Runner {
    /// On the processor.
    Cpu(Box<CpuModel>),
    /// With candle's operations.
    Tensors(Box<TensorModel>),
}

impl CandleEmbedder {
    /// Lays out `model` on `device`, which is `candle`, to compute in `dtype`.
    pub(crate) fn new(
        model: VisionTransformer,
        normalize: Normalize,
        device: Device,
        candle: &candle_core::Device,
        dtype: Dtype,
    ) -> Result<Self> {
        let shape = model.architecture.clone();
        let dtype = match dtype {
            Dtype::F32 => DType::F32,
            Dtype::Bf16 => DType::BF16,
            Dtype::F16 => DType::F16,
        };
        let model = with_tensors(model).map_err(device::failed)?;
        let runner = match device {
            Device::Cpu => Runner::Cpu(Box::new(CpuModel::new(model)?)),
            Device::Cuda(_) | Device::Metal(_) => {
                Runner::Tensors(Box::new(TensorModel::new(model, candle, dtype).map_err(device::failed)?))
            }
        };
        Ok(Self { runner, normalize, device, shape })
    }

    /// One vector per image of `pixels`, which have this size.
    fn run(&self, pixels: &PixelBatch, size: (usize, usize), out: &mut [f32]) -> Result<()> {
        match &self.runner {
            Runner::Cpu(model) => model.forward(pixels, &self.normalize, out)?,
            Runner::Tensors(model) => {
                let mut normalised = vec![0.0; pixels.data().len()];
                self.normalize.apply(pixels, &mut normalised);
                out.copy_from_slice(&model.forward(normalised, pixels.len(), size)?);
            }
        }
        Ok(())
    }
}

impl BlockingImageEmbedder for CandleEmbedder {
    fn width(&self) -> usize {
        self.shape.width()
    }

    fn device(&self) -> Device {
        self.device
    }

    fn embed(&self, batch: ImageBatch<'_>, out: &mut [f32]) -> Result<()> {
        embed_by_size(crate::NAME, &self.shape, batch, out, |pixels, size, out| self.run(pixels, size, out))
    }
}
