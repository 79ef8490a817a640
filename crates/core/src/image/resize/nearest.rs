//! Resizing by the nearest pixel.

use std::ops::Range;

use super::Job;

/// Copies the nearest pixel for each of the window.
pub(super) fn resize<T: Copy>(source: &[T], job: &Job, out: &mut [T]) {
    let (window, c) = (job.window, job.channels);
    let columns = positions(job.from.0, job.covers.0, job.to.0, window.x..window.x + window.width);
    let rows = positions(job.from.1, job.covers.1, job.to.1, window.y..window.y + window.height);
    let stride = job.from.0 as usize * c;
    for (row, out) in rows.iter().zip(out.chunks_exact_mut(columns.len() * c)) {
        let row = &source[row * stride..][..stride];
        for (column, out) in columns.iter().zip(out.chunks_exact_mut(c)) {
            out.copy_from_slice(&row[column * c..][..c]);
        }
    }
}

/// The source sample under the middle of each output. The position is a running sum, rounding errors included, as in
/// Pillow, where they decide between neighbours.
fn positions(from: u32, covers: f64, to: u32, range: Range<u32>) -> Vec<usize> {
    let step = covers / f64::from(to);
    let mut position = step * 0.5;
    let mut positions = Vec::with_capacity(range.len());
    for output in 0..range.end {
        if output >= range.start {
            positions.push((position as usize).min(from as usize - 1));
        }
        position += step;
    }
    positions
}
