//! From a batch of bytes to the numbers that a model reads, on its device.

use imbed_core::{PixelBatch, preprocess::Normalize};
use tch::{Device, Kind, TchError, Tensor};

use crate::pinned::pinned;

type Result<T> = std::result::Result<T, TchError>;

/// How pixels reach the model.
#[derive(Debug)]
pub(crate) struct Input {
    device: Device,
    kind: Kind,
    normalize: Normalize,
    /// Blue before red.
    bgr: bool,
}

impl Input {
    pub(crate) fn new(device: Device, kind: Kind, normalize: Normalize, bgr: bool) -> Self {
        Self { device, kind, normalize, bgr }
    }

    /// The normalised pixels of images of one size, `[images, 3, height, width]`.
    ///
    /// On a GPU this returns while they are still on their way.
    pub(crate) fn put(&self, pixels: &PixelBatch, (height, width): (usize, usize)) -> Result<Tensor> {
        let size = [pixels.len(), height, width].map(|n| n as i64);
        let x =
            if self.device.is_cuda() { self.through_pinned(pixels.data(), size)? } else { self.here(pixels, size)? };
        let x = if self.bgr { x.f_flip([1])? } else { x };
        x.f_to_kind(self.kind)?.f_contiguous()
    }

    fn here(&self, pixels: &PixelBatch, [images, height, width]: [i64; 3]) -> Result<Tensor> {
        let mut numbers = vec![0.0_f32; pixels.data().len()];
        self.normalize.apply(pixels, &mut numbers);
        Tensor::f_from_slice(&numbers)?.f_reshape([images, 3, height, width])
    }

    /// The bytes go to the GPU as they are, a quarter of what the numbers would take, out of memory that it reads by itself
    /// while the processor goes on. There they become the same numbers as here.
    fn through_pinned(&self, bytes: &[u8], [images, height, width]: [i64; 3]) -> Result<Tensor> {
        let shape = [images, height, width, 3];
        // SAFETY: the tensor only lends the bytes, which have this shape, and it is gone when this function returns, which the
        // bytes outlive: both ways below have copied them before they return.
        let lent = unsafe { Tensor::f_from_blob(bytes.as_ptr(), &shape, &[], Kind::Uint8, Device::Cpu) }?;
        let there = match pinned(&lent) {
            // libtorch keeps the pinned copy until the GPU has read it, although it is dropped here.
            Some(pinned) => pinned.f_to_device_(self.device, Kind::Uint8, true, false)?,
            None => lent.f_to_device(self.device)?,
        };
        let x = there.f_permute([0, 3, 1, 2])?;
        let channels = |numbers: [f64; 3]| {
            let numbers = numbers.map(|number| number as f32);
            Tensor::f_from_slice(&numbers)?.f_to_device(self.device)?.f_reshape([1, 3, 1, 1])
        };
        // As `Normalize` does it: the product with the scale is rounded from f64 to f32, and the rest is f32.
        let scaled = x.f_to_kind(Kind::Double)?.f_mul_scalar(self.normalize.scale)?.f_to_kind(Kind::Float)?;
        scaled.f_sub(&channels(self.normalize.mean)?)?.f_div(&channels(self.normalize.std)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMALIZE: Normalize = Normalize { scale: 1.0 / 255.0, mean: [0.5, 0.4, 0.3], std: [0.2, 0.25, 0.3] };

    fn put(bgr: bool) -> Vec<f32> {
        let pixels = PixelBatch::from_vec((0..36).map(|i| i * 7).collect(), 2, 3).unwrap();
        let x = Input::new(Device::Cpu, Kind::Float, NORMALIZE, bgr).put(&pixels, (2, 3)).unwrap();
        assert_eq!(x.size(), [2, 3, 2, 3]);
        Vec::try_from(x.flatten(0, -1)).unwrap()
    }

    #[test]
    fn channels_become_planes_and_change_places_after_they_are_normalised() {
        let (rgb, bgr) = (put(false), put(true));
        let red = |byte: f32| (byte * (1.0 / 255.0) - 0.5) / 0.2;
        assert!((rgb[0] - red(0.0)).abs() < 1e-6 && (rgb[1] - red(21.0)).abs() < 1e-6);
        assert_eq!((&rgb[..6], &rgb[12..18]), (&bgr[12..18], &bgr[..6]));
    }
}
