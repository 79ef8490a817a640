//! A head of bf16 on AMX: 32 queries with all keys, their shares, and these with all values.
//!
//! Scores of 32 queries stand in the second-level cache as f32, their shares as bf16.

use std::ops::Range;

use half::bf16;

use super::{Attention, Tokens};
use crate::{
    amx::{Left, SIDE, STEPS, SUMS, Tiles},
    math::exp2_coarse,
    memory::{Scratch, Shared, halves_mut},
    simd::{Simd, Work},
    softmax::largest,
    value::Lanes as _,
};

/// Rows and columns of the sums.
const SQUARE: usize = 2 * SIDE;

/// One head of one image.
pub(super) struct TileHead<'a> {
    pub(super) q: Tokens<'a, bf16>,
    pub(super) k: Tokens<'a, bf16>,
    pub(super) v: Tokens<'a, bf16>,
    /// The whole output.
    pub(super) y: &'a Shared<'a, bf16>,
    pub(super) image: usize,
    pub(super) number: usize,
    pub(super) of: Attention,
}

/// Sizes in words, whole tiles each.
#[derive(Clone, Copy)]
struct Sizes {
    /// Steps of a product of a query with a key.
    size: usize,
    /// Keys, up to whole panels.
    keys: usize,
    /// Values of a head, up to whole panels.
    values: usize,
    /// Words from one query's shares to the next: an odd number of lines.
    shares: usize,
    /// Words from one query's scores to the next: an odd number of lines.
    scores: usize,
}

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
        let keys = self.k.tokens.next_multiple_of(SQUARE);
        let sizes = Sizes {
            size: self.of.head_size.div_ceil(2).next_multiple_of(STEPS),
            keys,
            values: self.of.head_size.next_multiple_of(SQUARE),
            shares: ((keys / 2 / STEPS) | 1) * STEPS,
            scores: ((keys / STEPS) | 1) * STEPS,
        };
        let lengths = [sizes.size * keys, keys / 2 * sizes.values, SQUARE * sizes.size, SQUARE * sizes.shares];
        scratch.block.reserve(lengths.iter().sum());
        scratch.words.reserve(SQUARE * sizes.scores + SUMS);
        let (packed_keys, rest) = scratch.block.as_mut_slice().split_at_mut(lengths[0]);
        let (packed_values, rest) = rest.split_at_mut(lengths[1]);
        let (queries, shares) = rest.split_at_mut(lengths[2]);
        let (scores, sums) = scratch.words.as_mut_slice().split_at_mut(SQUARE * sizes.scores);
        self.pack_keys(simd, sizes, packed_keys);
        self.pack_values(simd, sizes, packed_values);
        let own = self.own();
        // SAFETY: the work is run where there is AMX, and takes no tiles elsewhere.
        let mut tiles = unsafe { Tiles::take() };
        for first in (0..self.q.tokens).step_by(SQUARE) {
            let count = SQUARE.min(self.q.tokens - first);
            for (row, to) in queries.chunks_exact_mut(sizes.size).enumerate().take(count) {
                place(to, self.q.head(self.image, first + row, own.clone()));
                self.ahead(simd, &self.q, first + row);
            }
            for panel in 0..keys / SQUARE {
                let packed = &packed_keys[panel * sizes.size * SQUARE..][..sizes.size * SQUARE];
                multiply(&mut tiles, count, queries, sizes.size, packed);
                tiles.store(&mut scores[panel * SQUARE..], sizes.scores);
            }
            let mut factors = [0.0; SQUARE];
            for (row, factor) in factors.iter_mut().enumerate().take(count) {
                let scores = &scores[row * sizes.scores..][..keys];
                *factor = self.share(simd, scores, halves_mut(&mut shares[row * sizes.shares..][..keys / 2]));
            }
            for panel in 0..sizes.values / SQUARE {
                let packed = &packed_values[panel * keys / 2 * SQUARE..][..keys / 2 * SQUARE];
                multiply(&mut tiles, count, shares, sizes.shares, packed);
                tiles.store(sums, SQUARE);
                let columns = panel * SQUARE..((panel + 1) * SQUARE).min(self.of.head_size);
                for (row, factor) in factors.iter().enumerate().take(count) {
                    let start = self.target(first + row);
                    // SAFETY: a row's columns of one head are written by one task alone, and none is kept.
                    let y = unsafe { self.y.part(start + columns.start..start + columns.end) };
                    let sums = &sums[row * SQUARE..][..SQUARE];
                    for (y, sums) in y.chunks_mut(S::LANES).zip(sums.chunks_exact(S::LANES)) {
                        bf16::store(simd, simd.mul(simd.load(sums), simd.splat(*factor)), y);
                    }
                }
            }
        }
    }

    /// This head's columns.
    #[inline(always)]
    fn own(&self) -> Range<usize> {
        self.number * self.of.head_size..(self.number + 1) * self.of.head_size
    }

    /// A hint that a token's values of the next head, which mostly is the next task, will be read.
    #[inline(always)]
    fn ahead<S: Simd>(&self, simd: S, of: &Tokens<'_, bf16>, token: usize) {
        let start = (self.image * of.tokens + token) * of.width + of.start + (self.number + 1) * self.of.head_size;
        for line in (0..self.of.head_size).step_by(32) {
            simd.prefetch_far(of.values.as_ptr().wrapping_add(start + line).cast());
        }
    }

    /// Where a query's result begins.
    #[inline(always)]
    fn target(&self, query: usize) -> usize {
        ((self.image * self.q.tokens + query) * self.of.heads + self.number) * self.of.head_size
    }

    /// For each panel of 32 keys, for each two values of a head: those of each key.
    #[inline(always)]
    fn pack_keys<S: Simd>(&self, simd: S, sizes: Sizes, packed: &mut [f32]) {
        let own = self.own();
        let mut rows = [0.0; SQUARE * STEPS];
        for (panel, packed) in packed.chunks_exact_mut(sizes.size * SQUARE).enumerate() {
            let count = SQUARE.min(self.k.tokens - panel * SQUARE);
            for part in (0..sizes.size).step_by(STEPS) {
                let values = own.start + 2 * part..(own.start + 2 * (part + STEPS)).min(own.end);
                for (row, to) in rows.chunks_exact_mut(STEPS).enumerate().take(count) {
                    if part == 0 {
                        self.ahead(simd, &self.k, panel * SQUARE + row);
                    }
                    place(to, self.k.head(self.image, panel * SQUARE + row, values.clone()));
                }
                for half in 0..2 {
                    let from = &rows[half * SIDE * STEPS..];
                    simd.transpose(from, STEPS, &mut packed[part * SQUARE + half * SIDE..], SQUARE);
                }
            }
        }
    }

    /// For each panel of 32 values of a head, for each two keys: those values of both, and zeros beyond.
    #[inline(always)]
    fn pack_values<S: Simd>(&self, simd: S, sizes: Sizes, packed: &mut [f32]) {
        let own = self.own();
        for (panel, packed) in packed.chunks_exact_mut(sizes.keys / 2 * SQUARE).enumerate() {
            let values = own.start + panel * SQUARE..(own.start + (panel + 1) * SQUARE).min(own.end);
            for (pair, to) in packed.chunks_exact_mut(SQUARE).enumerate() {
                let mut rows = [[bf16::ZERO; SQUARE]; 2];
                for (row, key) in rows.iter_mut().zip(2 * pair..self.v.tokens) {
                    if panel == 0 {
                        self.ahead(simd, &self.v, key);
                    }
                    let from = self.v.head(self.image, key, values.clone());
                    if let Some(from) = from.first_chunk::<SQUARE>() {
                        *row = *from;
                    } else {
                        row[..from.len()].copy_from_slice(from);
                    }
                }
                for (v, to) in to.chunks_exact_mut(S::LANES).enumerate() {
                    let at = v * S::LANES;
                    let (low, high) = (simd.load_bf16(&rows[0][at..]), simd.load_bf16(&rows[1][at..]));
                    simd.store(simd.pair(low, high), to);
                }
            }
        }
    }

    /// Turns a query's scores into shares, of which the largest is 1, and returns what brings their sum to 1.
    #[inline(always)]
    fn share<S: Simd>(&self, simd: S, scores: &[f32], shares: &mut [bf16]) -> f32 {
        let keys = self.k.tokens;
        let factor = self.of.scale * std::f32::consts::LOG2_E;
        let most =
            if factor < 0.0 { -largest_of_negated(simd, &scores[..keys]) } else { largest(simd, &scores[..keys]) };
        let (shift, factor) = (simd.splat(-most * factor), simd.splat(factor));
        let mut total = simd.splat(0.0);
        let whole = keys / S::LANES * S::LANES;
        let (scores, last_scores) = scores.split_at(whole);
        let (shares, last_shares) = shares.split_at_mut(whole);
        for (scores, shares) in scores.chunks_exact(S::LANES).zip(shares.chunks_exact_mut(S::LANES)) {
            let share = exp2_coarse(simd, simd.mul_add(simd.load(scores), factor, shift));
            total = simd.add(total, share);
            simd.store_bf16(share, shares);
        }
        last_shares.fill(bf16::ZERO);
        if whole < keys {
            let share = exp2_coarse(simd, simd.mul_add(simd.load(last_scores), factor, shift));
            let mut lanes = [0.0; 16];
            simd.store(share, &mut lanes[..S::LANES]);
            lanes[keys - whole..].fill(0.0);
            let share = simd.load(&lanes[..S::LANES]);
            total = simd.add(total, share);
            simd.store_bf16(share, last_shares);
        }
        1.0 / simd.sum(total)
    }
}

/// The largest of a row's numbers with the other sign.
#[inline(always)]
fn largest_of_negated<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let _ = simd;
    row.iter().fold(f32::NEG_INFINITY, |most, x| most.max(-x))
}

/// A row's values as words, and zeros.
#[inline(always)]
fn place(words: &mut [f32], values: &[bf16]) {
    let to = halves_mut(words);
    if to.len() == values.len() && values.len().is_multiple_of(SQUARE) {
        for (to, from) in to.chunks_exact_mut(SQUARE).zip(values.chunks_exact(SQUARE)) {
            to.copy_from_slice(from);
        }
        return;
    }
    let (to, rest) = to.split_at_mut(values.len());
    to.copy_from_slice(values);
    rest.fill(bf16::ZERO);
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
