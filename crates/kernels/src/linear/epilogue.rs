//! What happens to a tile between registers and memory.

use std::ops::Range;

use super::{Linear, Precision, Then, block::Quantised};
use crate::memory::Shared;
use crate::simd::{Simd, load_up_to, store_up_to};

/// The same for all tiles of a block of steps.
pub(super) struct Epilogue<'a> {
    pub(super) linear: &'a Linear,
    /// The whole output.
    pub(super) y: &'a Shared<'a>,
    /// Whether nothing has been summed in the output before.
    pub(super) first: bool,
    /// Whether the sum is complete now.
    pub(super) last: bool,
    pub(super) then: Then,
}

impl Epilogue<'_> {
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
        let whole_numbers = self.linear.precision == Precision::Int8;
        let before = !self.first || self.then == Then::Add;
        for v in 0..columns.len().div_ceil(S::LANES) {
            let at = columns.start + v * S::LANES;
            let end = (at + S::LANES).min(columns.end);
            let bias = simd.load(&self.linear.bias[at..]);
            let (scales, sums) = if whole_numbers {
                (simd.load(&self.linear.scales[at..]), simd.load(&self.linear.sums[at..]))
            } else {
                (bias, bias)
            };
            for ((tile, quantised), target) in tile.chunks_exact(S::TILE_COLUMNS).zip(quantised).zip(targets) {
                // SAFETY: as the caller promises, and none is kept.
                let y = unsafe { self.y.part(target + at..target + end) };
                let mut sum = simd.load(&tile[v * S::LANES..]);
                if whole_numbers {
                    sum = simd.mul(simd.whole_number(sum), simd.mul(simd.splat(quantised.scale), scales));
                }
                if before {
                    sum = simd.add(sum, load_up_to(simd, y));
                }
                if self.last {
                    sum = simd.add(sum, bias);
                    if whole_numbers {
                        sum = simd.mul_add(simd.splat(quantised.offset), sums, sum);
                    }
                    if let Then::Activate(activation) = self.then {
                        sum = activation.of(simd, sum);
                    }
                }
                store_up_to(simd, sum, y);
            }
        }
    }
}
