//! From bytes to the model's numbers.

use super::Normalize;
use crate::PixelBatch;

impl Normalize {
    /// Bytes as they are, from 0 to 255.
    pub const NONE: Self = Self { scale: 1.0, mean: [0.0; 3], std: [1.0; 3] };

    /// What each byte becomes in each channel.
    ///
    /// As in the reference: the product with the scale is rounded from `f64` to `f32`, and the rest is `f32`.
    pub fn tables(&self) -> [[f32; 256]; 3] {
        std::array::from_fn(|channel| {
            let (mean, std) = (self.mean[channel] as f32, self.std[channel] as f32);
            std::array::from_fn(|byte| ((byte as f64 * self.scale) as f32 - mean) / std)
        })
    }

    /// Writes the batch, `[N, H, W, 3]` bytes, as `[N, 3, H, W]` floats into `out`; of a ragged batch each image so.
    ///
    /// # Panics
    /// If `out` does not have as many floats as the batch has bytes.
    pub fn apply(&self, pixels: &PixelBatch, out: &mut [f32]) {
        assert_eq!(out.len(), pixels.data().len(), "one float per byte");
        let tables = self.tables();
        let mut out = out;
        for i in 0..pixels.len() {
            let image = pixels.image(i);
            let (planes, rest) = out.split_at_mut(image.len());
            out = rest;
            let (image, _) = image.as_chunks::<3>();
            for (channel, (table, plane)) in tables.iter().zip(planes.chunks_exact_mut(image.len().max(1))).enumerate()
            {
                for (pixel, out) in image.iter().zip(plane) {
                    *out = table[usize::from(pixel[channel])];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_become_planes() {
        let batch = PixelBatch::from_vec(vec![0, 51, 102, 255, 204, 153], 1, 2).unwrap();
        let mut out = [0.0; 6];
        Normalize { scale: 1.0 / 255.0, mean: [0.0; 3], std: [1.0, 1.0, 0.5] }.apply(&batch, &mut out);
        for (got, want) in out.iter().zip([0.0, 1.0, 0.2, 0.8, 0.8, 1.2]) {
            assert!((got - want).abs() < 1e-6, "{out:?}");
        }
    }

    #[test]
    fn nothing_leaves_the_bytes() {
        let batch = PixelBatch::from_vec((0..=254).collect(), 5, 17).unwrap();
        let mut out = vec![0.0; 255];
        Normalize::NONE.apply(&batch, &mut out);
        assert!((out[84] - 252.0).abs() < f32::EPSILON);
    }
}
