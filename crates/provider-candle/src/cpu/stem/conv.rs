//! 3x3 convolutions as products, one image at a time, channels last.

use imbed_core::Result;
use imbed_kernels::{Activation, Alone, Linear, Then};
use imbed_vision::architecture::halved;

use crate::cpu::{fit, threads::Threads, workspace::sized};

/// Stages of a convolution of stride 2 and residual pairs of stride 1, with a rectifier after each.
pub(in crate::cpu) struct ConvStem {
    /// Rows and columns of the image, in pixels.
    pub(in crate::cpu) image: (usize, usize),
    /// What each byte becomes in each channel. It cannot be in the weights, as the zeros around the image are added after it.
    pub(in crate::cpu) tables: [[f32; 256]; 3],
    /// First to last.
    pub(in crate::cpu) stages: Vec<Stage>,
}

/// A convolution of stride 2, then pairs: `x = relu(x + second(relu(first(x))))`.
pub(in crate::cpu) struct Stage {
    pub(in crate::cpu) down: Conv,
    pub(in crate::cpu) pairs: Vec<(Conv, Conv)>,
}

/// A 3x3 convolution with one zero around the image: a product with inputs `[3, 3, from]`.
pub(in crate::cpu) struct Conv(pub(in crate::cpu) Linear);

/// A feature map, `[height, width, channels]`.
#[derive(Debug, Clone, Copy)]
struct Map {
    height: usize,
    width: usize,
    channels: usize,
}

impl Map {
    fn len(self) -> usize {
        self.height * self.width * self.channels
    }
}

/// One image's buffers.
#[derive(Debug, Default)]
struct Scratch {
    /// The neighbourhoods of one convolution, `[rows * columns, 3, 3, from]`.
    windows: Vec<f32>,
    x: Vec<f32>,
    y: Vec<f32>,
}

impl ConvStem {
    /// `pixels`, `[images, height, width, 3]`, to `features`, `[images, rows * columns, channels]`.
    pub(in crate::cpu) fn apply(&self, pixels: &[u8], features: &mut [f32], threads: Threads) -> Result<()> {
        let (height, width) = self.image;
        let (mut rows, mut columns) = self.image;
        for _ in &self.stages {
            (rows, columns) = (halved(rows), halved(columns));
        }
        let channels = self.stages.last().map_or(3, |stage| stage.down.0.outputs());
        let (image, map) = (3 * height * width, rows * columns * channels);
        threads.parts((pixels, image), (features, map), |pixels, features| {
            let mut scratch = Scratch::default();
            let mut images = pixels.chunks_exact(image).zip(features.chunks_exact_mut(map));
            images.try_for_each(|(pixels, features)| self.image(pixels, &mut scratch, features))
        })
    }

    fn image(&self, pixels: &[u8], scratch: &mut Scratch, features: &mut [f32]) -> Result<()> {
        let Scratch { windows, x, y } = scratch;
        let mut map = Map { height: self.image.0, width: self.image.1, channels: 3 };
        for (pixel, x) in pixels.as_chunks::<3>().0.iter().zip(sized(x, map.len()).as_chunks_mut::<3>().0) {
            *x = std::array::from_fn(|channel| self.tables[channel][usize::from(pixel[channel])]);
        }
        for stage in &self.stages {
            let next = stage.down.rectified(map, 2, x, windows, y)?;
            std::mem::swap(x, y);
            map = next;
            for (first, second) in &stage.pairs {
                first.rectified(map, 1, x, windows, y)?;
                second.apply(map, 1, y, windows, x, Then::Add)?;
                rectify(&mut x[..map.len()]);
            }
        }
        features.copy_from_slice(&x[..map.len()]);
        Ok(())
    }
}

impl Conv {
    /// Writes the convolution of `x`, rectified, to `y`, which grows if it must, and gives its shape.
    fn rectified(&self, map: Map, step: usize, x: &[f32], windows: &mut Vec<f32>, y: &mut Vec<f32>) -> Result<Map> {
        self.apply(map, step, x, windows, y, Then::Activate(Activation::Relu))
    }

    fn apply(
        &self,
        map: Map,
        step: usize,
        x: &[f32],
        windows: &mut Vec<f32>,
        y: &mut Vec<f32>,
        then: Then,
    ) -> Result<Map> {
        let side = |n: usize| if step == 2 { halved(n) } else { n };
        let next = Map { height: side(map.height), width: side(map.width), channels: self.0.outputs() };
        let windows = sized(windows, next.height * next.width * 9 * map.channels);
        gather(map, x, step, next.width, windows);
        self.0.apply(windows, sized(y, next.len()), then, &Alone).map_err(fit)?;
        Ok(next)
    }
}

/// A comparison and not `max`, which would turn NaN into zero.
fn rectify(map: &mut [f32]) {
    for x in map {
        *x = if *x < 0.0 { 0.0 } else { *x };
    }
}

/// The 3 x 3 neighbours of every `step`-th position, zero outside the image.
fn gather(map: Map, x: &[f32], step: usize, across: usize, windows: &mut [f32]) {
    let Map { height, width, channels } = map;
    for (i, window) in windows.chunks_exact_mut(9 * channels).enumerate() {
        let (row, column) = (i / across * step, i % across * step);
        for (dy, line) in window.chunks_exact_mut(3 * channels).enumerate() {
            // One more than the position, so that the padding before the first is not negative.
            let row = row + dy;
            if !(1..=height).contains(&row) {
                line.fill(0.0);
            } else if (1..width - 1).contains(&column) {
                line.copy_from_slice(&x[((row - 1) * width + column - 1) * channels..][..3 * channels]);
            } else {
                for (dx, neighbour) in line.chunks_exact_mut(channels).enumerate() {
                    let column = column + dx;
                    if (1..=width).contains(&column) {
                        neighbour.copy_from_slice(&x[((row - 1) * width + column - 1) * channels..][..channels]);
                    } else {
                        neighbour.fill(0.0);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use imbed_kernels::{Cpu, Precision};

    use super::*;

    #[test]
    fn a_convolution_sums_each_neighbourhood_and_pads_with_zeros() {
        let ones = Conv(Linear::pack(Cpu::detect().unwrap(), Precision::F32, &[1.0; 9], 9, Some(&[0.5])).unwrap());
        let map = Map { height: 3, width: 3, channels: 1 };
        let x: Vec<f32> = (1..10).map(|i| i as f32).collect();
        let mut y = vec![];
        ones.rectified(map, 1, &x, &mut vec![], &mut y).unwrap();
        assert_eq!(y, [12.5, 21.5, 16.5, 27.5, 45.5, 33.5, 24.5, 39.5, 28.5]);
        let mut y = vec![];
        let next = ones.rectified(map, 2, &x, &mut vec![], &mut y).unwrap();
        assert_eq!((next.height, next.width), (2, 2));
        assert_eq!(y, [12.5, 16.5, 24.5, 28.5]);
    }

    #[test]
    fn an_image_of_one_column_has_zeros_on_both_sides() {
        let x = [1.0, 2.0];
        let mut windows = [f32::NAN; 18];
        gather(Map { height: 2, width: 1, channels: 1 }, &x, 1, 1, &mut windows);
        assert_eq!(windows[..9], [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0]);
        assert_eq!(windows[9..], [0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
