//! How the colours are laid out: the lowest frequencies of an 8 x 8 thumbnail, as MPEG-7's colour layout has it.

use std::f64::consts::PI;

use crate::embedder::{Planes, SIDE};

/// Rows and columns of the thumbnail.
const BLOCKS: usize = 8;
/// Frequencies that are kept of brightness and of each colour difference.
const KEPT: [usize; 3] = [10, 6, 6];
/// A constant, and the frequencies.
pub(crate) const WIDTH: usize = 1 + KEPT[0] + KEPT[1] + KEPT[2];
/// What the constant is: small against the colours of a picture, and enough that a black one has a direction.
const CONSTANT: f64 = 0.1;

/// Row and column of the lowest frequencies, the nearest to the mean first.
const ZIGZAG: [(usize, usize); 10] = [(0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0)];

/// Unit length.
pub(crate) fn layout(planes: &Planes) -> [f64; WIDTH] {
    let mut out = [0.0; WIDTH];
    out[0] = CONSTANT;
    let mut place = 1;
    for (plane, kept) in [&planes.y, &planes.cb, &planes.cr].into_iter().zip(KEPT) {
        let thumbnail = thumbnail(plane);
        for (row, column) in &ZIGZAG[..kept] {
            // Over 8, so that the first is the mean.
            out[place] = frequency(&thumbnail, *row, *column) / BLOCKS as f64;
            place += 1;
        }
    }
    let length = out.iter().map(|x| x * x).sum::<f64>().sqrt();
    out.map(|x| x / length)
}

/// The mean of each block.
fn thumbnail(plane: &[f64]) -> [[f64; BLOCKS]; BLOCKS] {
    const BLOCK: usize = SIDE / BLOCKS;
    let mut out = [[0.0; BLOCKS]; BLOCKS];
    for (i, value) in plane.iter().enumerate() {
        out[i / SIDE / BLOCK][i % SIDE / BLOCK] += value / (BLOCK * BLOCK) as f64;
    }
    out
}

/// One frequency of the orthonormal discrete cosine transform (DCT-II).
fn frequency(block: &[[f64; BLOCKS]; BLOCKS], row: usize, column: usize) -> f64 {
    let wave = |frequency: usize, place: usize| {
        let energy: f64 = if frequency == 0 { 1.0 } else { 2.0 };
        let angle = PI * frequency as f64 * (2 * place + 1) as f64 / (2 * BLOCKS) as f64;
        (energy / BLOCKS as f64).sqrt() * angle.cos()
    };
    let mut sum = 0.0;
    for (y, line) in block.iter().enumerate() {
        for (x, value) in line.iter().enumerate() {
            sum += value * wave(row, y) * wave(column, x);
        }
    }
    sum
}
