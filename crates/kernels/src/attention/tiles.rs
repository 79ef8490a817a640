//! A head of bf16 on AMX: 32 queries with all keys, their shares, and these with all values.
//!
//! Scores of 32 queries stand in the second-level cache as f32, their shares as bf16.

use half::bf16;

use super::{Head, halves::COLUMNS};
use crate::{
    amx::{Left, SIDE, STEPS, SUMS, Tiles},
    memory::{Scratch, halves_mut},
    simd::{Simd, Work},
};

/// Rows and columns of the sums.
const SQUARE: usize = 2 * SIDE;
const _: () = assert!(SQUARE == COLUMNS && STEPS == super::halves::STEPS);

/// One head of one image.
pub(super) struct TileHead<'a>(pub(super) Head<'a, bf16>);

impl Work for TileHead<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let mut scratch = Scratch::take();
        self.compute(simd, &mut scratch);
        scratch.give_back();
    }
}

impl TileHead<'_> {
    #[inline(always)]
    fn compute<S: Simd>(&self, simd: S, scratch: &mut Scratch) {
        let head = &self.0;
        let sizes = head.sizes();
        let keys = sizes.keys;
        // Words from one query's shares to the next: an odd number of lines.
        let stride = ((keys / 2 / STEPS) | 1) * STEPS;
        let [keys_length, values_length] = sizes.packed();
        scratch.block.reserve(keys_length + values_length + SQUARE * (sizes.size + stride));
        scratch.words.reserve(SQUARE * sizes.scores + SUMS);
        let (packed_keys, rest) = scratch.block.as_mut_slice().split_at_mut(keys_length);
        let (packed_values, rest) = rest.split_at_mut(values_length);
        let (queries, shares) = rest.split_at_mut(SQUARE * sizes.size);
        let (scores, sums) = scratch.words.as_mut_slice().split_at_mut(SQUARE * sizes.scores);
        head.pack_keys(simd, sizes, packed_keys);
        head.pack_values(simd, sizes, packed_values);
        // SAFETY: the work is run where there is AMX, and takes no tiles elsewhere.
        let mut tiles = unsafe { Tiles::take() };
        for first in (0..head.q.tokens).step_by(SQUARE) {
            let count = SQUARE.min(head.q.tokens - first);
            for (row, to) in queries.chunks_exact_mut(sizes.size).enumerate().take(count) {
                head.place_query(first + row, to);
            }
            for panel in 0..keys / SQUARE {
                head.ahead(simd, first, count, (panel, keys / SQUARE));
                let packed = &packed_keys[panel * sizes.size * SQUARE..][..sizes.size * SQUARE];
                multiply(&mut tiles, count, queries, sizes.size, packed);
                tiles.store(&mut scores[panel * SQUARE..], sizes.scores);
            }
            let mut factors = [0.0; SQUARE];
            for (row, factor) in factors.iter_mut().enumerate().take(count) {
                let scores = &scores[row * sizes.scores..][..keys];
                *factor = head.share(simd, scores, halves_mut(&mut shares[row * stride..][..keys / 2]));
            }
            for panel in 0..sizes.values / SQUARE {
                let packed = &packed_values[panel * keys / 2 * SQUARE..][..keys / 2 * SQUARE];
                multiply(&mut tiles, count, shares, stride, packed);
                tiles.store(sums, SQUARE);
                for (row, factor) in factors.iter().enumerate().take(count) {
                    head.write(simd, first + row, panel, &sums[row * SQUARE..][..SQUARE], *factor);
                }
            }
        }
    }
}

/// The products of `count` rows, `stride` words apart, with a panel of steps of 32 columns.
#[inline(always)]
fn multiply(tiles: &mut Tiles, count: usize, left: &[f32], stride: usize, panel: &[f32]) {
    let steps = panel.len() / SQUARE;
    assert!(steps.is_multiple_of(STEPS) && steps <= stride && left.len() >= (SQUARE - 1) * stride + steps);
    tiles.clear();
    for step in (0..steps).step_by(STEPS) {
        let left = Left { at: left[step..].as_ptr().cast(), stride: 4 * stride, whole: count > SIDE };
        // SAFETY: 32 rows of 16 words, and 16 steps of 32 columns, are within the slices, as checked above.
        unsafe { tiles.step(left, panel[step * SQUARE..].as_ptr().cast(), false, false) };
    }
}
