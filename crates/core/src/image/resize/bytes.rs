//! The two passes over 8-bit samples, in fixed point.
//!
//! The sums are whole numbers, so that their order changes nothing.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

#[cfg(target_arch = "x86_64")]
use super::rgb;
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
pub(super) const HALF: i32 = 1 << (PRECISION_BITS - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

/// A rectangle of samples inside rows of `stride` samples.
#[derive(Debug, Clone)]
pub(super) struct View<'a> {
    pub(super) samples: &'a [u8],
    pub(super) stride: usize,
    pub(super) rows: Range<usize>,
    /// Within a row, in samples.
    pub(super) columns: Range<usize>,
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
    let axis = |from: u32, covers: f64, to: u32, range: Range<u32>| {
        let changes = from != to || covers < f64::from(from);
        changes.then(|| Axis::new(from, covers, to, range, job.filter).fixed())
    };
    let mut across = axis(job.from.0, job.covers.0, job.to.0, x.clone());
    let mut down = axis(job.from.1, job.covers.1, job.to.1, y.clone());

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
    #[cfg(target_arch = "x86_64")]
    if channels == 3 && rgb::filter_across(from, to, to_stride, axis) {
        return;
    }
    filter_across_simply(from, channels, to, to_stride, axis);
}

/// The same for any number of channels on any processor.
fn filter_across_simply(from: &View<'_>, channels: usize, to: &mut [u8], to_stride: usize, axis: &Axis<i32>) {
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
    Arch::new().dispatch(Down { from, to, axis });
}

/// What [`filter_down`] does, compiled for the widest vectors that the processor has.
struct Down<'a> {
    from: &'a View<'a>,
    to: &'a mut [u8],
    axis: &'a Axis<i32>,
}

/// A block of sums stays in registers over all rows that it needs.
const BLOCK: usize = 32;

impl WithSimd for Down<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { from, to, axis } = self;
        let width = from.columns.len();
        for (out, (sources, weights)) in to.chunks_exact_mut(width).zip(axis.taps()) {
            let above = &from.samples[(from.rows.start + sources.start) * from.stride + from.columns.start..];
            let mut column = 0;
            while column + BLOCK <= width {
                sum_block::<BLOCK>(above, from.stride, column, weights, out);
                column += BLOCK;
            }
            if width >= BLOCK {
                // The last block again, ending where the row ends.
                sum_block::<BLOCK>(above, from.stride, width - BLOCK, weights, out);
            } else {
                for column in column..width {
                    sum_block::<1>(above, from.stride, column, weights, out);
                }
            }
        }
    }
}

/// `N` weighed sums over the rows of `above`, which are `stride` apart, from `column` on.
#[inline(always)]
fn sum_block<const N: usize>(above: &[u8], stride: usize, column: usize, weights: &[i32], out: &mut [u8]) {
    let mut sums = [HALF; N];
    for (row, weight) in weights.iter().enumerate() {
        let samples = &above[row * stride + column..][..N];
        for i in 0..N {
            sums[i] += i32::from(samples[i]) * weight;
        }
    }
    let out = &mut out[column..][..N];
    for i in 0..N {
        out[i] = to_byte(sums[i]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::Filter;

    fn samples(n: usize, seed: u64) -> Vec<u8> {
        let sample = |i: u64| match ((i + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 52) as u32 {
            // Extremes too, which make the largest sums.
            hash @ 0..1024 => (hash & 1) as u8 * 255,
            hash => hash as u8,
        };
        (0..n as u64).map(sample).collect()
    }

    fn axis(from: u32, to: u32, filter: Filter) -> Axis<i32> {
        Axis::new(from, from.into(), to, 0..to, filter).fixed()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        #[cfg(target_arch = "x86_64")]
        fn rows_of_pixels_come_out_as_the_simple_way_has_them(
            from in 1..=300_u32, to in 1..=100_u32, rows in 1..=9_usize, margin in 0..=2_usize, seed in any::<u32>(),
            filter in prop::sample::select(Filter::ALL.to_vec()),
        ) {
            let axis = axis(from, to, filter);
            let columns = margin * 3..margin * 3 + from as usize * 3;
            let stride = columns.end + margin * 3;
            let samples = samples(stride * rows, seed.into());
            let view = View { samples: &samples, stride, rows: 0..rows, columns };
            let to_stride = to as usize * 3;
            let (mut fast, mut simple) = (vec![7; to_stride * rows], vec![9; to_stride * rows]);
            filter_across_simply(&view, 3, &mut simple, to_stride, &axis);
            if rgb::filter_across(&view, &mut fast, to_stride, &axis) {
                prop_assert_eq!(fast, simple);
            }
        }

        #[test]
        fn columns_come_out_as_the_sums_of_their_samples(
            from in 1..=200_u32, to in 1..=40_u32, width in 1..=100_usize, margin in 0..=2_usize, seed in any::<u32>(),
            filter in prop::sample::select(Filter::ALL.to_vec()),
        ) {
            let axis = axis(from, to, filter);
            let (stride, columns) = (width + 2 * margin, margin..margin + width);
            let samples = samples(stride * (from as usize + margin), seed.into());
            let rows = margin..margin + from as usize;
            let view = View { samples: &samples, stride, rows, columns };
            let mut out = vec![7; width * to as usize];
            filter_down(&view, &mut out, &axis);
            let source: Vec<&[u8]> = view.rows().collect();
            for (out, (sources, weights)) in out.chunks_exact(width).zip(axis.taps()) {
                for (column, out) in out.iter().enumerate() {
                    let sum = source[sources.clone()].iter().zip(weights).map(|(row, weight)| i32::from(row[column]) * weight);
                    prop_assert_eq!(*out, to_byte(HALF + sum.sum::<i32>()));
                }
            }
        }
    }
}
