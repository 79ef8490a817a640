//! Patches of pixels as rows of a product.

use std::ops::Range;

use crate::{
    Error, Precision,
    error::{check, check_length},
    linear::source::Source,
};

/// The patches of a batch of images, `[images, height, width, 3]` as bytes.
///
/// A patch's row is its pixels row by row, three colours each, and its rows are in reading order: the order of weights from
/// [`fold_normalisation`].
#[derive(Clone, Copy, Debug)]
pub struct Patches<'a> {
    /// The bytes.
    pub pixels: &'a [u8],
    /// Of an image, in pixels. What does not fill a patch at the bottom is left out.
    pub height: usize,
    /// Of an image, in pixels. What does not fill a patch at the right is left out.
    pub width: usize,
    /// Rows and columns of a patch, in pixels.
    pub patch: (usize, usize),
    /// Rows of the output before an image's first patch: tokens of class and the like.
    pub skipped: usize,
}

impl Patches<'_> {
    /// Values of a patch.
    pub fn values(&self) -> usize {
        self.patch.0.saturating_mul(self.patch.1).saturating_mul(3)
    }

    /// Rows of the output: none where sizes are zero, which [`apply_patches`](crate::Linear::apply_patches) refuses.
    pub fn tokens(&self) -> usize {
        self.images().saturating_mul(self.skipped.saturating_add(self.of_image()))
    }

    /// Bytes of an image.
    fn image(&self) -> Option<usize> {
        self.height.checked_mul(self.width)?.checked_mul(3)
    }

    fn images(&self) -> usize {
        self.image().and_then(|bytes| self.pixels.len().checked_div(bytes)).unwrap_or(0)
    }

    fn of_image(&self) -> usize {
        let along = |length: usize, side: usize| length.checked_div(side).unwrap_or(0);
        along(self.height, self.patch.0).saturating_mul(along(self.width, self.patch.1))
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let (rows, columns) = self.patch;
        check(self.height > 0 && self.width > 0 && rows > 0 && columns > 0, "images and patches have pixels")?;
        check(rows <= self.height && columns <= self.width, "an image is at least as large as a patch")?;
        let whole = self.image().is_some_and(|bytes| self.pixels.len().is_multiple_of(bytes));
        check(whole, "pixels are whole images")?;
        check(self.tokens() < usize::MAX, "tokens can be counted")
    }
}

impl Source for Patches<'_> {
    fn rows(&self) -> usize {
        self.images() * self.of_image()
    }

    fn read<'a>(&'a self, row: usize, values: Range<usize>, buffer: &'a mut [f32]) -> &'a [f32] {
        let (image, patch) = (row / self.of_image(), row % self.of_image());
        let across = self.width / self.patch.1;
        let (top, left) = (patch / across * self.patch.0, patch % across * self.patch.1);
        let buffer = &mut buffer[..values.len()];
        let line = self.patch.1 * 3;
        let (mut at, mut to) = (values.start, &mut buffer[..]);
        while at < values.end {
            let (y, x) = (at / line, at % line);
            let count = (line - x).min(values.end - at);
            let start = ((image * self.height + top + y) * self.width + left) * 3 + x;
            let (now, later) = to.split_at_mut(count);
            for (to, from) in now.iter_mut().zip(&self.pixels[start..start + count]) {
                *to = f32::from(*from);
            }
            (at, to) = (at + count, later);
        }
        buffer
    }

    fn target(&self, row: usize) -> usize {
        let of_image = self.of_image();
        row / of_image * (self.skipped + of_image) + self.skipped + row % of_image
    }

    fn is_bytes(&self) -> bool {
        true
    }
}

/// Weights and bias that do to bytes what a convolution's do to normalised pixels, `(byte * factor - mean) / deviation`.
///
/// `weights`, `[outputs, 3, rows, columns]`, come back as `[outputs, rows, columns, 3]`; `bias` may be empty for none. For
/// [`Precision::Bf16`] weights come back rounded to bf16 and the bias belongs to the rounded ones: a mean of many times a pixel's
/// deviations would otherwise be taken away by other weights than it was added by.
///
/// ```
/// # use imbed_kernels::{Precision, fold_normalisation};
/// let (weights, bias) = fold_normalisation(
///     Precision::F32, &[1.0, 10.0, 100.0], (1, 1), &[], 1.0, [0.5, 0.0, 0.0], [1.0, 2.0, 4.0])?;
/// assert_eq!((weights, bias), (vec![1.0, 5.0, 25.0], vec![-0.5]));
/// # Ok::<(), imbed_kernels::Error>(())
/// ```
pub fn fold_normalisation(
    precision: Precision,
    weights: &[f32],
    (rows, columns): (usize, usize),
    bias: &[f32],
    factor: f64,
    mean: [f64; 3],
    deviation: [f64; 3],
) -> Result<(Vec<f32>, Vec<f32>), Error> {
    let sides = 1..=1 << 12;
    check(sides.contains(&rows) && sides.contains(&columns), "a patch has sides of 1 to 4096 pixels")?;
    let pixels = rows * columns;
    check(weights.len().is_multiple_of(pixels * 3), "weights are whole patches of three colours")?;
    let outputs = weights.len() / (pixels * 3);
    if !bias.is_empty() {
        check_length("bias", outputs, bias.len())?;
    }
    let mut folded = vec![0.0; weights.len()];
    let mut biases = Vec::with_capacity(outputs);
    for (output, (from, to)) in weights.chunks_exact(pixels * 3).zip(folded.chunks_exact_mut(pixels * 3)).enumerate() {
        let mut shift = 0.0_f64;
        for colour in 0..3 {
            let (mean, deviation) = (mean[colour], deviation[colour]);
            let mut sum = 0.0;
            for pixel in 0..pixels {
                let exact = f64::from(from[colour * pixels + pixel]) / deviation;
                let (weight, effective) = match precision {
                    Precision::Bf16 => {
                        let rounded = half::bf16::from_f64(exact * factor);
                        (rounded.to_f32(), rounded.to_f64() / factor)
                    }
                    Precision::F32 | Precision::Int8 => ((exact * factor) as f32, exact),
                };
                to[pixel * 3 + colour] = weight;
                sum += effective;
            }
            shift += sum * mean;
        }
        biases.push((f64::from(bias.get(output).copied().unwrap_or(0.0)) - shift) as f32);
    }
    Ok((folded, biases))
}
