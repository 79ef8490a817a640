//! 3x3 convolutions as products, one image at a time, channels last between them.

use imbed_vision::architecture::halved;
use rayon::prelude::*;

use crate::cpu::{
    activation::relu,
    product::{Matrix, Output, Threads, multiply},
    workspace::sized,
};

/// Stages of a convolution of stride 2 and residual pairs of stride 1, with a rectifier after each.
#[derive(Debug)]
pub(in crate::cpu) struct ConvStem {
    /// Rows and columns of the image, in pixels.
    pub(in crate::cpu) image: (usize, usize),
    /// First to last.
    pub(in crate::cpu) stages: Vec<Stage>,
}

/// A convolution of stride 2, then pairs: `x = relu(x + second(relu(first(x))))`.
#[derive(Debug)]
pub(in crate::cpu) struct Stage {
    pub(in crate::cpu) down: Conv,
    pub(in crate::cpu) pairs: Vec<(Conv, Conv)>,
}

/// A 3x3 convolution with one zero around the image.
#[derive(Debug)]
pub(in crate::cpu) struct Conv {
    /// `[3, 3, from, to]`.
    pub(in crate::cpu) weight: Vec<f32>,
    /// `[to]`.
    pub(in crate::cpu) bias: Vec<f32>,
}

/// A feature map: where the number of a channel at a row and column stands in its slice.
#[derive(Debug, Clone, Copy)]
struct Map {
    height: usize,
    width: usize,
    channels: usize,
    channels_last: bool,
}

impl Map {
    fn index(self, row: usize, column: usize, channel: usize) -> usize {
        if self.channels_last {
            (row * self.width + column) * self.channels + channel
        } else {
            (channel * self.height + row) * self.width + column
        }
    }

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
    /// `pixels`, `[images, 3, height, width]`, to `features`, `[images, rows * columns, channels]`.
    pub(in crate::cpu) fn apply(&self, pixels: &[f32], features: &mut [f32]) {
        let (height, width) = self.image;
        let (mut rows, mut columns) = self.image;
        for _ in &self.stages {
            (rows, columns) = (halved(rows), halved(columns));
        }
        let channels = self.stages.last().map_or(3, |stage| stage.down.bias.len());
        let images =
            pixels.par_chunks_exact(3 * height * width).zip(features.par_chunks_exact_mut(rows * columns * channels));
        images.for_each_init(Scratch::default, |scratch, (pixels, features)| self.image(pixels, scratch, features));
    }

    fn image(&self, pixels: &[f32], scratch: &mut Scratch, features: &mut [f32]) {
        let Scratch { windows, x, y } = scratch;
        let mut map = Map { height: self.image.0, width: self.image.1, channels: 3, channels_last: false };
        sized(x, map.len()).copy_from_slice(pixels);
        for stage in &self.stages {
            let next = stage.down.apply(map, 2, x, windows, y);
            std::mem::swap(x, y);
            map = next;
            rectify(&mut x[..map.len()]);
            for (first, second) in &stage.pairs {
                first.apply(map, 1, x, windows, y);
                rectify(&mut y[..map.len()]);
                second.add(map, y, windows, x);
                rectify(&mut x[..map.len()]);
            }
        }
        features.copy_from_slice(&x[..map.len()]);
    }
}

impl Conv {
    /// Writes the convolution of `x` to `y`, which grows if it must, and gives its shape.
    fn apply(&self, map: Map, step: usize, x: &[f32], windows: &mut Vec<f32>, y: &mut Vec<f32>) -> Map {
        let side = |n: usize| if step == 2 { halved(n) } else { n };
        let next =
            Map { height: side(map.height), width: side(map.width), channels: self.bias.len(), channels_last: true };
        sized(y, next.len()).fill(0.0);
        self.accumulate(map, next, step, x, windows, y);
        next
    }

    /// Adds the convolution of `x`, of stride 1, to `y`.
    fn add(&self, map: Map, x: &[f32], windows: &mut Vec<f32>, y: &mut [f32]) {
        self.accumulate(map, map, 1, x, windows, y);
    }

    fn accumulate(&self, map: Map, next: Map, step: usize, x: &[f32], windows: &mut Vec<f32>, y: &mut [f32]) {
        let y = &mut y[..next.len()];
        for y in y.chunks_exact_mut(self.bias.len()) {
            y.iter_mut().zip(&self.bias).for_each(|(y, b)| *y += *b);
        }
        let depth = 9 * map.channels;
        let windows = sized(windows, next.height * next.width * depth);
        gather(map, x, step, next.width, windows);
        let windows = Matrix::new(windows, next.height * next.width, depth, depth);
        let weight = Matrix::new(&self.weight, depth, next.channels, next.channels);
        multiply(windows, weight, y, next.channels, Output::Add, Threads::One);
    }
}

fn rectify(map: &mut [f32]) {
    for x in map {
        *x = relu(*x);
    }
}

/// The 3 x 3 neighbours of every `step`-th position, zero outside the image.
fn gather(map: Map, x: &[f32], step: usize, across: usize, windows: &mut [f32]) {
    for (i, window) in windows.chunks_exact_mut(9 * map.channels).enumerate() {
        let (row, column) = (i / across * step, i % across * step);
        for (k, neighbour) in window.chunks_exact_mut(map.channels).enumerate() {
            // One more than the position, so that the padding before the first is not negative.
            let (row, column) = (row + k / 3, column + k % 3);
            if !(1..=map.height).contains(&row) || !(1..=map.width).contains(&column) {
                neighbour.fill(0.0);
            } else if map.channels_last {
                let start = map.index(row - 1, column - 1, 0);
                neighbour.copy_from_slice(&x[start..start + map.channels]);
            } else {
                for (channel, n) in neighbour.iter_mut().enumerate() {
                    *n = x[map.index(row - 1, column - 1, channel)];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_convolution_sums_each_neighbourhood_and_pads_with_zeros() {
        let ones = Conv { weight: vec![1.0; 9], bias: vec![0.5] };
        let map = Map { height: 3, width: 3, channels: 1, channels_last: true };
        let x: Vec<f32> = (1..10).map(|i| i as f32).collect();
        let mut y = vec![];
        ones.apply(map, 1, &x, &mut vec![], &mut y);
        assert_eq!(y, [12.5, 21.5, 16.5, 27.5, 45.5, 33.5, 24.5, 39.5, 28.5]);
        let mut y = vec![];
        let next = ones.apply(map, 2, &x, &mut vec![], &mut y);
        assert_eq!((next.height, next.width), (2, 2));
        assert_eq!(y, [12.5, 16.5, 24.5, 28.5]);
    }
}
