//! What happens to a tile between registers and memory.

use super::{Linear, Precision, Then, block::Quantised};
use crate::simd::{Simd, load_up_to, store_up_to};

/// The same for all tiles of a block of steps.
pub(super) struct Epilogue<'a> {
    pub(super) linear: &'a Linear,
    /// Whether nothing has been summed in the output before.
    pub(super) first: bool,
    /// Whether the sum is complete now.
    pub(super) last: bool,
    pub(super) then: Then,
}

impl Epilogue<'_> {
    /// Finishes a row of a tile, whose first column is `column`, and writes it to `y`, which may be narrower.
    #[inline(always)]
    pub(super) fn row<S: Simd>(&self, simd: S, tile: &[f32], quantised: Quantised, column: usize, y: &mut [f32]) {
        for (v, tile) in tile.chunks_exact(S::LANES).enumerate() {
            let start = v * S::LANES;
            if start >= y.len() {
                break;
            }
            let end = (start + S::LANES).min(y.len());
            let y = &mut y[start..end];
            let column = column + start;
            let mut sum = simd.load(tile);
            if self.linear.precision == Precision::Int8 {
                let scale = simd.mul(simd.splat(quantised.scale), simd.load(&self.linear.scales[column..]));
                sum = simd.mul(simd.from_i32_bits(sum), scale);
            }
            if !self.first || self.then == Then::Add {
                sum = simd.add(sum, load_up_to(simd, y));
            }
            if self.last {
                sum = simd.add(sum, simd.load(&self.linear.bias[column..]));
                if self.linear.precision == Precision::Int8 {
                    sum = simd.mul_add(simd.splat(quantised.offset), simd.load(&self.linear.sums[column..]), sum);
                }
                if let Then::Activate(activation) = self.then {
                    sum = activation.of(simd, sum);
                }
            }
            store_up_to(simd, sum, y);
        }
    }
}
