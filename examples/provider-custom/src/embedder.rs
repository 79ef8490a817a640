//! The model: pixels in, vectors out.

use imbed_core::{BlockingImageEmbedder, Device, Error, ErrorKind, ImageBatch, PixelBatch, Result};

use crate::{colour, gradient};

/// Rows and columns of the pixels that it reads.
pub(crate) const SIDE: usize = 32;
/// Numbers per vector.
pub(crate) const WIDTH: usize = colour::WIDTH + gradient::WIDTH;

/// Brightness and colour differences of an image, `[SIDE * SIDE]` each, for samples from 0 to 1.
pub(crate) struct Planes {
    pub(crate) y: Vec<f64>,
    pub(crate) cb: Vec<f64>,
    pub(crate) cr: Vec<f64>,
}

#[derive(Debug)]
pub(crate) struct PerceptualEmbedder {
    /// What colours and edges are multiplied with.
    weights: [f64; 2],
}

impl PerceptualEmbedder {
    pub(crate) fn new(shape: f64) -> Self {
        Self { weights: [(1.0 - shape).sqrt(), shape.sqrt()] }
    }

    fn vector(&self, pixels: &[u8], out: &mut [f32]) {
        let planes = Planes::of(pixels);
        let (colours, edges) = (colour::layout(&planes), gradient::histograms(&planes.y));
        let colours = colours.iter().map(|x| x * self.weights[0]);
        let edges = edges.iter().map(|x| x * self.weights[1]);
        let vector: Vec<f64> = colours.chain(edges).collect();
        // Never zero: the colours have a constant part.
        let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
        for (out, x) in out.iter_mut().zip(vector) {
            *out = (x / length) as f32;
        }
    }
}

impl BlockingImageEmbedder for PerceptualEmbedder {
    fn width(&self) -> usize {
        WIDTH
    }

    fn device(&self) -> Device {
        Device::Cpu
    }

    fn embed(&self, batch: ImageBatch<'_>, out: &mut [f32]) -> Result<()> {
        let pixels = expected(batch)?;
        if out.len() != pixels.len() * WIDTH {
            let message = format!("room for {} numbers where {} x {WIDTH} come", out.len(), pixels.len());
            return Err(Error::new(ErrorKind::Dimensions, message));
        }
        for (i, out) in out.chunks_exact_mut(WIDTH).enumerate() {
            self.vector(pixels.image(i), out);
        }
        Ok(())
    }
}

/// The batch, if it is what the descriptor asked for.
fn expected(batch: ImageBatch<'_>) -> Result<&PixelBatch> {
    match batch {
        ImageBatch::Pixels(pixels) if pixels.size() == Some((SIDE, SIDE)) => Ok(pixels),
        _ => Err(Error::new(ErrorKind::BadInput, "the provider perceptual reads 32 x 32 pixels")
            .hint("prepare the images with the Preprocess of the descriptor's input")),
    }
}

impl Planes {
    /// From RGB, `[SIDE, SIDE, 3]`, with the weights of BT.601.
    fn of(pixels: &[u8]) -> Self {
        let mut planes = Self { y: Vec::new(), cb: Vec::new(), cr: Vec::new() };
        for pixel in pixels.as_chunks::<3>().0 {
            let [r, g, b] = pixel.map(|sample| f64::from(sample) / 255.0);
            let y = 0.299 * r + 0.587 * g + 0.114 * b;
            planes.y.push(y);
            planes.cb.push((b - y) / 1.772);
            planes.cr.push((r - y) / 1.402);
        }
        planes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embed(pixels: &PixelBatch, shape: f64) -> Vec<f32> {
        let mut out = vec![f32::NAN; pixels.len() * WIDTH];
        PerceptualEmbedder::new(shape).embed(ImageBatch::Pixels(pixels), &mut out).unwrap();
        out
    }

    #[test]
    fn grey_of_any_brightness_has_a_direction() {
        for grey in [0, 128, 255] {
            let pixels = PixelBatch::from_vec(vec![grey; SIDE * SIDE * 3], SIDE, SIDE).unwrap();
            assert!(embed(&pixels, 0.5).iter().all(|x| x.is_finite()), "{grey}");
        }
    }

    #[test]
    fn the_option_shape_moves_weight_to_the_edges() {
        let noise = (0..SIDE * SIDE * 3).map(|i| (i * i % 251) as u8).collect();
        let pixels = PixelBatch::from_vec(noise, SIDE, SIDE).unwrap();
        let edges = |shape| embed(&pixels, shape)[colour::WIDTH..].iter().map(|x| x * x).sum::<f32>();
        assert!(edges(0.0) < 1e-12);
        assert!(edges(0.2) < edges(0.8));
    }

    #[test]
    fn pixels_of_another_size_are_refused() {
        let pixels = PixelBatch::from_vec(vec![0; 16 * 16 * 3], 16, 16).unwrap();
        let error = PerceptualEmbedder::new(0.5).embed(ImageBatch::Pixels(&pixels), &mut [0.0; WIDTH]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput);
    }
}
