//! What happens to a sum between registers and memory.

use std::ops::Range;

use super::{Linear, Precision, Then, stage::Quantised};
use crate::{memory::Shared, simd::Simd, value::Lanes};

/// The same for all tiles of a block of steps.
pub(super) struct Epilogue<'a, Y> {
    pub(super) linear: &'a Linear,
    /// The whole output.
    pub(super) y: &'a Shared<'a, Y>,
    /// Whether nothing has been summed in the output before.
    pub(super) first: bool,
    /// Whether the sum is complete now.
    pub(super) last: bool,
    pub(super) then: Then,
}

/// What a vector of columns has in common: bias, scales and sums of weights.
#[derive(Clone, Copy)]
pub(super) struct Columns<F> {
    bias: F,
    scales: F,
    sums: F,
}

impl<Y: Lanes> Epilogue<'_, Y> {
    /// Of the columns from `at` on. `INT8` is whether the layer's precision is.
    #[inline(always)]
    pub(super) fn columns<S: Simd, const INT8: bool>(&self, simd: S, at: usize) -> Columns<S::F> {
        let bias = simd.load(&self.linear.bias[at..]);
        if !INT8 {
            return Columns { bias, scales: bias, sums: bias };
        }
        Columns { bias, scales: simd.load(&self.linear.scales[at..]), sums: simd.load(&self.linear.sums[at..]) }
    }

    /// Finishes a vector of sums and writes it to its place in the output, which is a vector or less.
    #[inline(always)]
    pub(super) fn vector<S: Simd, const INT8: bool>(
        &self,
        simd: S,
        mut sum: S::F,
        quantised: Quantised,
        columns: Columns<S::F>,
        y: &mut [Y],
    ) {
        if INT8 {
            sum = simd.mul(simd.whole_number(sum), simd.mul(simd.splat(quantised.scale), columns.scales));
        }
        if !self.first || self.then == Then::Add {
            sum = simd.add(sum, Y::load(simd, y));
        }
        if self.last {
            sum = simd.add(sum, columns.bias);
            if INT8 {
                sum = simd.mul_add(simd.splat(quantised.offset), columns.sums, sum);
            }
            if let Then::Activate(activation) = self.then {
                sum = if Y::COARSE { activation.of_coarse(simd, sum) } else { activation.of(simd, sum) };
            }
        }
        Y::store(simd, sum, y);
    }

    /// Finishes the rows of a tile and writes `columns` of them, which may be fewer than the tile's, to the rows of the output
    /// that begin at `targets`.
    ///
    /// # Safety
    /// No other thread reads or writes these.
    #[inline(always)]
    pub(super) unsafe fn tile<S: Simd>(
        &self,
        simd: S,
        tile: &[f32],
        quantised: &[Quantised],
        targets: &[usize],
        columns: Range<usize>,
    ) {
        if self.linear.precision == Precision::Int8 {
            self.rows::<S, true>(simd, tile, quantised, targets, columns);
        } else {
            self.rows::<S, false>(simd, tile, quantised, targets, columns);
        }
    }

    #[inline(always)]
    fn rows<S: Simd, const INT8: bool>(
        &self,
        simd: S,
        tile: &[f32],
        quantised: &[Quantised],
        targets: &[usize],
        columns: Range<usize>,
    ) {
        for v in 0..columns.len().div_ceil(S::LANES) {
            let at = columns.start + v * S::LANES;
            let end = (at + S::LANES).min(columns.end);
            let common = self.columns::<S, INT8>(simd, at);
            for ((tile, quantised), target) in tile.chunks_exact(S::TILE_COLUMNS).zip(quantised).zip(targets) {
                let sum = simd.load(&tile[v * S::LANES..]);
                // SAFETY: as the caller of `tile` promises, and none is kept.
                let y = unsafe { self.y.part(target + at..target + end) };
                self.vector::<S, INT8>(simd, sum, *quantised, common, y);
            }
        }
    }
}
