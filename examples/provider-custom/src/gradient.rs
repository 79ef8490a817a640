//! Which way edges run: in each of 4 x 4 cells, a histogram of 8 directions.

use std::f64::consts::PI;

use crate::embedder::SIDE;

/// Rows and columns of cells.
const CELLS: usize = 4;
/// Directions over half a turn: an edge from dark to light is the same as one from light to dark.
const BINS: usize = 8;
/// Every direction of every cell.
pub(crate) const WIDTH: usize = CELLS * CELLS * BINS;
/// Edges that are weaker than this altogether are noise, and are not blown up to unit length.
const FAINT: f64 = 0.05;

/// Almost unit length, and zero for an image without edges.
pub(crate) fn histograms(y: &[f64]) -> [f64; WIDTH] {
    let mut out = [0.0; WIDTH];
    let at = |row: usize, column: usize| y[row * SIDE + column];
    for row in 0..SIDE {
        for column in 0..SIDE {
            let across = at(row, (column + 1).min(SIDE - 1)) - at(row, column.saturating_sub(1));
            let down = at((row + 1).min(SIDE - 1), column) - at(row.saturating_sub(1), column);
            let cell = row * CELLS / SIDE * CELLS + column * CELLS / SIDE;
            add(&mut out[cell * BINS..][..BINS], across, down);
        }
    }
    let length = out.iter().map(|x| x * x).sum::<f64>().sqrt();
    out.map(|x| x / (length + FAINT))
}

/// Shares an edge between the two directions that are nearest to its own, so that a hair's breadth changes little.
fn add(histogram: &mut [f64], across: f64, down: f64) {
    let strength = across.hypot(down);
    if strength == 0.0 {
        return;
    }
    let direction = down.atan2(across).rem_euclid(PI) / PI * BINS as f64;
    let lower = direction.floor();
    let share = direction - lower;
    let bin = lower as usize;
    histogram[bin % BINS] += strength * (1.0 - share);
    histogram[(bin + 1) % BINS] += strength * share;
}
