//! The inner loop of every product.
//!
//! A step is four bytes of the shared dimension, whatever they hold: one f32, two bf16 or four bytes. So packing, blocking and
//! addresses are the same in all precisions, and only the instruction that multiplies differs.

use super::Simd;

/// Steps that are staged at once, at most: with 112 rows they fill less than half a megabyte of second-level cache, which processors
/// with vectors of 512 bits have twice.
pub(crate) const BLOCK_STEPS: usize = 1024;
/// As [`BLOCK_STEPS`], on other processors: a third of a megabyte.
const NARROW_BLOCK_STEPS: usize = 768;

/// Steps that are staged at once, at most, with vectors of this width.
pub(crate) const fn block_steps<S: Simd>() -> usize {
    if S::LANES < 16 { NARROW_BLOCK_STEPS } else { BLOCK_STEPS }
}

/// Words from one staged row to the next. A constant, so that rows are addressed by displacements of one pointer; a line more
/// than the steps, so that rows do not meet in the same cache sets.
pub(crate) const A_STRIDE: usize = BLOCK_STEPS + 16;

/// What a word holds, as the instruction that multiplies it.
pub(crate) trait Dot {
    fn dot<S: Simd>(simd: S, acc: S::F, a: S::F, b: S::F) -> S::F;
}

/// One f32.
pub(crate) struct F32Words;
/// Two bf16.
pub(crate) struct Bf16Pairs;
/// Four bytes, unsigned on the left and signed on the right.
pub(crate) struct I8Quads;

impl Dot for F32Words {
    #[inline(always)]
    fn dot<S: Simd>(simd: S, acc: S::F, a: S::F, b: S::F) -> S::F {
        simd.dot_f32(acc, a, b)
    }
}

impl Dot for Bf16Pairs {
    #[inline(always)]
    fn dot<S: Simd>(simd: S, acc: S::F, a: S::F, b: S::F) -> S::F {
        simd.dot_bf16(acc, a, b)
    }
}

impl Dot for I8Quads {
    #[inline(always)]
    fn dot<S: Simd>(simd: S, acc: S::F, a: S::F, b: S::F) -> S::F {
        simd.dot_i8(acc, a, b)
    }
}

/// What will be read after a tile: it is fetched into the second-level cache meanwhile, a little with each step.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    /// Where it begins. May be any address.
    pub(crate) at: *const f32,
    /// Words with each step.
    pub(crate) per_step: usize,
}

impl Ahead {
    /// What comes after `packed`, of which each of so many tiles fetches its share.
    pub(crate) fn after(packed: &[f32], steps: usize, tile: usize, tiles: usize) -> Self {
        let per_step = (packed.len() / steps.max(1)).div_ceil(tiles.max(1));
        Self { at: packed.as_ptr_range().end.wrapping_add(tile * per_step * steps), per_step }
    }

    /// Nothing: `packed` is there already.
    pub(crate) fn nothing(packed: &[f32]) -> Self {
        Self { at: packed.as_ptr(), per_step: 0 }
    }
}

/// Writes to `out`, `ROWS` rows of `VECTORS` vectors that are `stride` words apart, the products of `ROWS` staged rows, [`A_STRIDE`] words apart, with a
/// packed panel: for each step, `VECTORS` vectors of words.
#[inline(always)]
pub(super) fn tile<S: Simd, D: Dot, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    a: &[f32],
    b: &[f32],
    steps: usize,
    ahead: Ahead,
    out: &mut [f32],
    stride: usize,
) {
    let columns = VECTORS * S::LANES;
    assert!(a.len() >= (ROWS - 1) * A_STRIDE + steps && b.len() >= steps * columns);
    assert!(stride >= columns && out.len() >= (ROWS - 1) * stride + columns);
    let mut sums = [[simd.splat(0.0); VECTORS]; ROWS];
    let (a, b) = (a.as_ptr(), b.as_ptr());
    for step in 0..steps {
        let panel = b.wrapping_add(step * columns);
        simd.prefetch_far(ahead.at.wrapping_add(step * ahead.per_step));
        let mut right = [simd.splat(0.0); VECTORS];
        for (v, right) in right.iter_mut().enumerate() {
            // A kilobyte ahead.
            simd.prefetch(panel.wrapping_add(256 + v * S::LANES));
            // SAFETY: the panel has `steps * columns` words, as checked above.
            *right = unsafe { simd.load_at(panel.wrapping_add(v * S::LANES)) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `step < steps`, and the last row has as many words, as checked above.
            let left = unsafe { simd.splat_at(a.wrapping_add(row * A_STRIDE + step)) };
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = D::dot(simd, *sum, left, right);
            }
        }
    }
    for (sums, out) in sums.iter().zip(out.chunks_mut(stride)) {
        for (sum, out) in sums.iter().zip(out[..columns].chunks_exact_mut(S::LANES)) {
            simd.store(*sum, out);
        }
    }
}
