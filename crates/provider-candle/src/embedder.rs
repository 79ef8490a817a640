//! A loaded model.

use std::collections::BTreeMap;

use candle_core::DType;
use imbed_core::{
    BlockingImageEmbedder, Device, Error, ErrorKind, ImageBatch, PixelBatch, Result, options::Dtype,
    preprocess::Normalize,
};

use crate::{
    architecture::{Architecture, ImageShape, StemShape},
    cpu::CpuModel,
    device,
    model::VisionTransformer,
    tensors::TensorModel,
};

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
        let runner = match device {
            Device::Cpu => Runner::Cpu(Box::new(CpuModel::new(model)?)),
            Device::Cuda(_) | Device::Metal(_) => {
                Runner::Tensors(Box::new(TensorModel::new(model, candle, dtype).map_err(device::failed)?))
            }
        };
        Ok(Self { runner, normalize, device, shape })
    }

    fn check(&self, pixels: &PixelBatch, out: &[f32]) -> Result<()> {
        let wrong = |given: (usize, usize), wanted: String| {
            let (rows, columns) = given;
            Err(Error::new(ErrorKind::BadInput, format!("pixels of {rows} x {columns} for a model of {wanted}"))
                .hint("prepare the images with the Preprocess of the descriptor's input"))
        };
        for image in 0..pixels.len() {
            let given = pixels.image_size(image);
            match (self.shape.image, &self.shape.stem) {
                (ImageShape::Fixed(rows, columns), _) if given != (rows, columns) => {
                    return wrong(given, format!("{rows} x {columns}"));
                }
                (ImageShape::Patches(most), StemShape::Patches(rows, columns)) => {
                    let whole = given.0.is_multiple_of(*rows) && given.1.is_multiple_of(*columns);
                    let patches = (given.0 / rows) * (given.1 / columns);
                    if !whole || !(1..=most).contains(&patches) {
                        return wrong(given, format!("1 to {most} patches of {rows} x {columns}"));
                    }
                }
                _ => {}
            }
            if pixels.size().is_some() {
                break;
            }
        }
        let width = self.shape.width();
        if out.len() != pixels.len() * width {
            let message = format!("room for {} numbers where {} x {width} come", out.len(), pixels.len());
            return Err(Error::new(ErrorKind::Dimensions, message));
        }
        Ok(())
    }

    /// One vector per image of `pixels`, which have one size.
    fn run(&self, pixels: &PixelBatch, out: &mut [f32]) -> Result<()> {
        match (&self.runner, pixels.size()) {
            (Runner::Cpu(model), _) => model.forward(pixels, &self.normalize, out)?,
            (Runner::Tensors(model), Some(size)) => {
                let mut normalised = vec![0.0; pixels.data().len()];
                self.normalize.apply(pixels, &mut normalised);
                out.copy_from_slice(&model.forward(normalised, pixels.len(), size)?);
            }
            (Runner::Tensors(_), None) => {
                return Err(Error::new(ErrorKind::Internal, "a pass over images of many sizes"));
            }
        }
        Ok(())
    }

    /// One vector per image of a ragged batch: a pass for each size in it, over the images that have it.
    fn run_by_size(&self, pixels: &PixelBatch, out: &mut [f32]) -> Result<()> {
        let width = self.shape.width();
        let mut sizes: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for image in 0..pixels.len() {
            sizes.entry(pixels.image_size(image)).or_default().push(image);
        }
        for ((rows, columns), images) in sizes {
            let mut batch = PixelBatch::with_capacity(images.len(), rows, columns);
            for image in &images {
                batch.push(pixels.image(*image), rows, columns);
            }
            let mut vectors = vec![0.0; images.len() * width];
            self.run(&batch, &mut vectors)?;
            for (image, vector) in images.iter().zip(vectors.chunks_exact(width)) {
                out[image * width..][..width].copy_from_slice(vector);
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
        let ImageBatch::Pixels(pixels) = batch else {
            return Err(Error::new(ErrorKind::BadInput, "the provider candle reads pixels, not encoded images")
                .hint("prepare the images with the Preprocess of the descriptor's input"));
        };
        self.check(pixels, out)?;
        match pixels.size() {
            _ if pixels.is_empty() => Ok(()),
            Some(_) => self.run(pixels, out),
            None => self.run_by_size(pixels, out),
        }
    }
}
