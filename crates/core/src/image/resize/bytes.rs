//! The two passes over 8-bit samples, in fixed point.

use std::ops::Range;

use super::{
    Job,
    coefficients::{Axis, PRECISION_BITS},
};

/// Buffers that live from one image to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    between: Vec<u8>,
}

/// One half in fixed point: what every sum starts at, so that cutting the fraction off rounds.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// A rectangle of samples inside rows of `stride` samples.
#[derive(Debug, Clone)]
struct View<'a> {
    samples: &'a [u8],
    stride: usize,
    rows: Range<usize>,
    /// Within a row, in samples.
    columns: Range<usize>,
}

impl<'a> View<'a> {
    fn rows(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (samples, stride, columns) = (self.samples, self.stride, self.columns.clone());
        self.rows.clone().map(move |row| &samples[row * stride..][columns.clone()])
    }
}

/// Whether rows are filtered before columns, as Pillow 13 decides: where the height shrinks by more than twice as many
/// pixels as the width. (Earlier Pillows always began with the columns; bytes between the passes make it visible.)
fn rows_first(job: &Job) -> bool {
    let shrinks = |from: u32, to: u32| u64::from(from.saturating_sub(to));
    shrinks(job.from.1, job.to.1) > 2 * shrinks(job.from.0, job.to.0)
}

/// Resizes by every filter but the nearest pixel's. A side that keeps its length is copied, not filtered.
pub(super) fn resize(source: &[u8], job: &Job, out: &mut [u8], scratch: &mut Scratch) {
    let (c, window) = (job.channels, job.window);
    let (x, y) = (window.x..window.x + window.width, window.y..window.y + window.height);
    let mut across = (job.from.0 != job.to.0).then(|| Axis::new(job.from.0, job.to.0, x.clone(), job.filter).fixed());
    let mut down = (job.from.1 != job.to.1).then(|| Axis::new(job.from.1, job.to.1, y.clone(), job.filter).fixed());

    // Only what the second pass reads goes through the first.
    let columns = across.as_ref().map_or(x.start as usize..x.end as usize, Axis::sources);
    let rows = down.as_ref().map_or(y.start as usize..y.end as usize, Axis::sources);
    if let Some(axis) = &mut across {
        axis.rebase(columns.start);
    }
    if let Some(axis) = &mut down {
        axis.rebase(rows.start);
    }
    let source =
        View { samples: source, stride: job.from.0 as usize * c, rows, columns: columns.start * c..columns.end * c };

    let out_stride = window.width as usize * c;
    match (across, down) {
        (None, None) => {
            for (from, to) in source.rows().zip(out.chunks_exact_mut(out_stride)) {
                to.copy_from_slice(from);
            }
        }
        (Some(across), None) => filter_across(&source, c, out, out_stride, &across),
        (None, Some(down)) => filter_down(&source, out, &down),
        (Some(across), Some(down)) if rows_first(job) => {
            let stride = source.columns.len();
            let between = scratch.between(stride, window.height as usize);
            filter_down(&source, between, &down);
            filter_across(&whole(between, stride), c, out, out_stride, &across);
        }
        (Some(across), Some(down)) => {
            let between = scratch.between(out_stride, source.rows.len());
            filter_across(&source, c, between, out_stride, &across);
            filter_down(&whole(between, out_stride), out, &down);
        }
    }
}

impl Scratch {
    fn between(&mut self, stride: usize, rows: usize) -> &mut [u8] {
        self.between.resize(stride * rows, 0);
        &mut self.between
    }
}

fn whole(samples: &[u8], stride: usize) -> View<'_> {
    View { samples, stride, rows: 0..samples.len() / stride, columns: 0..stride }
}

/// Filters each row along itself.
fn filter_across(from: &View<'_>, channels: usize, to: &mut [u8], to_stride: usize, axis: &Axis<i32>) {
    for (from, to) in from.rows().zip(to.chunks_exact_mut(to_stride)) {
        match channels {
            1 => filter_row::<1>(from, to, axis),
            2 => filter_row::<2>(from, to, axis),
            3 => filter_row::<3>(from, to, axis),
            _ => filter_row::<4>(from, to, axis),
        }
    }
}

fn filter_row<const C: usize>(from: &[u8], to: &mut [u8], axis: &Axis<i32>) {
    let (from, _) = from.as_chunks::<C>();
    let (to, _) = to.as_chunks_mut::<C>();
    for (out, (sources, weights)) in to.iter_mut().zip(axis.taps()) {
        let mut sums = [HALF; C];
        for (pixel, weight) in from[sources].iter().zip(weights) {
            for (sum, sample) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(*sample) * weight;
            }
        }
        *out = sums.map(to_byte);
    }
}

/// Filters from row to row.
fn filter_down(from: &View<'_>, to: &mut [u8], axis: &Axis<i32>) {
    // A block of sums stays in registers over all rows that it needs.
    const BLOCK: usize = 32;
    let width = from.columns.len();
    for (out, (sources, weights)) in to.chunks_exact_mut(width).zip(axis.taps()) {
        let start = from.rows.start + sources.start;
        let above = View { rows: start..start + sources.len(), ..from.clone() };
        let (blocks, rest) = out.as_chunks_mut::<BLOCK>();
        let rest_start = blocks.len() * BLOCK;
        for (i, block) in blocks.iter_mut().enumerate() {
            let mut sums = [HALF; BLOCK];
            for (row, weight) in above.rows().zip(weights) {
                let samples = &row[i * BLOCK..][..BLOCK];
                for (sum, sample) in sums.iter_mut().zip(samples) {
                    *sum += i32::from(*sample) * weight;
                }
            }
            *block = sums.map(to_byte);
        }
        for (i, out) in rest.iter_mut().enumerate() {
            let column = above.rows().zip(weights);
            *out = to_byte(column.fold(HALF, |sum, (row, weight)| sum + i32::from(row[rest_start + i]) * weight));
        }
    }
}
