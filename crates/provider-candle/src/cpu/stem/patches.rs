//! A convolution whose stride is its size: the patches side by side, and one product.

use rayon::prelude::*;

use crate::cpu::{
    product::{Matrix, Output, Threads, multiply},
    workspace::sized,
};

/// One product per patch.
#[derive(Debug)]
pub(in crate::cpu) struct PatchStem {
    /// `[3 * rows * columns, hidden]`; somebody adds the bias later.
    pub(in crate::cpu) weight: Vec<f32>,
    /// Numbers per patch of the output.
    pub(in crate::cpu) hidden: usize,
    /// Rows and columns of a patch, in pixels.
    pub(in crate::cpu) patch: (usize, usize),
}

impl PatchStem {
    /// `pixels`, `[images, 3, height, width]`, to `features`, `[images, patches, hidden]`.
    pub(in crate::cpu) fn apply(
        &self,
        pixels: &[f32],
        (height, width): (usize, usize),
        buffer: &mut Vec<f32>,
        features: &mut [f32],
    ) {
        let depth = 3 * self.patch.0 * self.patch.1;
        let per_image = (height / self.patch.0) * (width / self.patch.1) * depth;
        let rows = features.len() / self.hidden;
        let patches = sized(buffer, rows * depth);
        let images = pixels.par_chunks_exact(3 * height * width).zip(patches.par_chunks_exact_mut(per_image));
        images.for_each(|(pixels, patches)| self.gather(pixels, (height, width), patches));
        let patches = Matrix::new(patches, rows, depth, depth);
        let weight = Matrix::new(&self.weight, depth, self.hidden, self.hidden);
        multiply(patches, weight, features, self.hidden, Output::Write, Threads::Pool);
    }

    /// One image to its patches, each `[3, rows, columns]`. Pixels that fill no whole patch are left out, as a
    /// convolution without padding leaves them.
    fn gather(&self, pixels: &[f32], (height, width): (usize, usize), patches: &mut [f32]) {
        let (rows, columns) = self.patch;
        let across = width / columns;
        for (i, patch) in patches.chunks_exact_mut(3 * rows * columns).enumerate() {
            let (top, left) = (i / across * rows, i % across * columns);
            for (j, line) in patch.chunks_exact_mut(columns).enumerate() {
                let (channel, row) = (j / rows, top + j % rows);
                line.copy_from_slice(&pixels[(channel * height + row) * width + left..][..columns]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_run_row_by_row_and_hold_whole_channels() {
        let stem = PatchStem { weight: vec![], hidden: 1, patch: (1, 2) };
        let pixels: Vec<f32> = (0..30).map(|i| i as f32).collect();
        let mut patches = [0.0; 24];
        stem.gather(&pixels, (2, 5), &mut patches);
        assert_eq!(patches[..6], [0.0, 1.0, 10.0, 11.0, 20.0, 21.0]);
        assert_eq!(patches[6..12], [2.0, 3.0, 12.0, 13.0, 22.0, 23.0]);
        assert_eq!(patches[18..], [7.0, 8.0, 17.0, 18.0, 27.0, 28.0]);
    }
}
