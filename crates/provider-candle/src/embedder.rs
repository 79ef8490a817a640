//! A loaded model.

use candle_core::DType;
use imbed_core::{
    BlockingImageEmbedder, Device, Error, ErrorKind, ImageBatch, PixelBatch, Result, options::Dtype,
    preprocess::Normalize,
};

use crate::{cpu::CpuModel, device, model::VisionTransformer, tensors::TensorModel};

/// A model on a device, and the arithmetic that its pixels need first.
#[derive(Debug)]
pub(crate) struct CandleEmbedder {
    runner: Runner,
    normalize: Normalize,
    device: Device,
    width: usize,
    /// Rows and columns of the input, in pixels.
    image: (usize, usize),
}

#[derive(Debug)]
enum Runner {
    /// On the processor.
    Cpu(CpuModel),
    /// With candle's operations.
    Tensors(TensorModel),
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
        let (width, image) = (model.architecture.width(), model.architecture.image);
        let dtype = match dtype {
            Dtype::F32 => DType::F32,
            Dtype::Bf16 => DType::BF16,
            Dtype::F16 => DType::F16,
        };
        let runner = match device {
            Device::Cpu => Runner::Cpu(CpuModel::new(model)?),
            Device::Cuda(_) | Device::Metal(_) => {
                Runner::Tensors(TensorModel::new(model, candle, dtype).map_err(device::failed)?)
            }
        };
        Ok(Self { runner, normalize, device, width, image })
    }

    fn check(&self, pixels: &PixelBatch, out: &[f32]) -> Result<()> {
        let (rows, columns) = self.image;
        if pixels.size() != Some(self.image) {
            let given = pixels.size().map_or("ragged".to_owned(), |(height, width)| format!("{height} x {width}"));
            let message = format!("a batch of {given} pixels for a model of {rows} x {columns}");
            return Err(Error::new(ErrorKind::BadInput, message)
                .hint("prepare the images with the Preprocess of the descriptor's input"));
        }
        if out.len() != pixels.len() * self.width {
            let message = format!("room for {} numbers where {} x {} come", out.len(), pixels.len(), self.width);
            return Err(Error::new(ErrorKind::Dimensions, message));
        }
        Ok(())
    }
}

impl BlockingImageEmbedder for CandleEmbedder {
    fn width(&self) -> usize {
        self.width
    }

    fn device(&self) -> Device {
        self.device
    }

    fn embed(&self, batch: ImageBatch<'_>, out: &mut [f32]) -> Result<()> {
        let ImageBatch::Pixels(pixels) = batch else {
            return Err(Error::new(ErrorKind::BadInput, "the provider candle reads pixels, not encoded images")
                .hint("prepare the images with the Preprocess of the descriptor's input"));
        };
        self.check(pixels, out)?;
        if pixels.is_empty() {
            return Ok(());
        }
        match &self.runner {
            Runner::Cpu(model) => model.forward(pixels, &self.normalize, out),
            Runner::Tensors(model) => {
                let mut normalised = vec![0.0; pixels.data().len()];
                self.normalize.apply(pixels, &mut normalised);
                out.copy_from_slice(&model.forward(normalised, pixels.len()).map_err(device::failed)?);
            }
        }
        Ok(())
    }
}
