//! A head of bf16, packed for products of pairs: its keys, its values and the shares of a query, all keys at a time.

use half::bf16;

use super::Head;
use crate::{math::exp2_coarse, memory::halves_mut, simd::Simd, softmax::largest, value::Lanes as _};

/// Columns of a panel.
pub(super) const COLUMNS: usize = 32;
/// Words of a vector, of those that this is compiled for.
pub(super) const STEPS: usize = 16;

/// Sizes in words.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    /// Steps of a product of a query with a key, up to whole vectors.
    pub(super) size: usize,
    /// Keys, up to whole panels.
    pub(super) keys: usize,
    /// Values of a head, up to whole panels.
    pub(super) values: usize,
    /// Words from one query's scores to the next: an odd number of lines.
    pub(super) scores: usize,
}

impl Sizes {
    /// Of the packed keys and the packed values.
    pub(super) fn packed(&self) -> [usize; 2] {
        [self.size * self.keys, self.keys / 2 * self.values]
    }
}

impl Head<'_, bf16> {
    pub(super) fn sizes(&self) -> Sizes {
        let keys = self.k.tokens.next_multiple_of(COLUMNS);
        Sizes {
            size: self.of.head_size.div_ceil(2).next_multiple_of(STEPS),
            keys,
            values: self.of.head_size.next_multiple_of(COLUMNS),
            scores: ((keys / STEPS) | 1) * STEPS,
        }
    }

    /// A query's values as words, and zeros.
    #[inline(always)]
    pub(super) fn place_query(&self, query: usize, to: &mut [f32]) {
        place(to, self.q.head(self.image, query, self.own()));
    }

    /// Writes a panel of a query's results: its sums times `factor`.
    #[inline(always)]
    pub(super) fn write<S: Simd>(&self, simd: S, query: usize, panel: usize, sums: &[f32], factor: f32) {
        let columns = panel * COLUMNS..((panel + 1) * COLUMNS).min(self.of.head_size);
        // SAFETY: a row's columns of one head are written by one task alone, and none is kept.
        let y = unsafe { self.y.part(self.result(query, columns)) };
        for (y, sums) in y.chunks_mut(S::LANES).zip(sums.chunks_exact(S::LANES)) {
            bf16::store(simd, simd.mul(simd.load(sums), simd.splat(factor)), y);
        }
    }

    /// For each panel of 32 keys, for each two values of a head: those of each key.
    #[inline(always)]
    pub(super) fn pack_keys<S: Simd>(&self, simd: S, sizes: Sizes, packed: &mut [f32]) {
        let own = self.own();
        let mut rows = [0.0; COLUMNS * STEPS];
        for (panel, packed) in packed.chunks_exact_mut(sizes.size * COLUMNS).enumerate() {
            let count = COLUMNS.min(self.k.tokens - panel * COLUMNS);
            for part in (0..sizes.size).step_by(STEPS) {
                let values = own.start + 2 * part..(own.start + 2 * (part + STEPS)).min(own.end);
                for (row, to) in rows.chunks_exact_mut(STEPS).enumerate().take(count) {
                    place(to, self.k.head(self.image, panel * COLUMNS + row, values.clone()));
                }
                for half in 0..2 {
                    let from = &rows[half * STEPS * STEPS..];
                    simd.transpose(from, STEPS, &mut packed[part * COLUMNS + half * STEPS..], COLUMNS);
                }
            }
        }
    }

    /// For each panel of 32 values of a head, for each two keys: those values of both, and zeros beyond.
    #[inline(always)]
    pub(super) fn pack_values<S: Simd>(&self, simd: S, sizes: Sizes, packed: &mut [f32]) {
        let own = self.own();
        for (panel, packed) in packed.chunks_exact_mut(sizes.keys / 2 * COLUMNS).enumerate() {
            let values = own.start + panel * COLUMNS..(own.start + (panel + 1) * COLUMNS).min(own.end);
            for (pair, to) in packed.chunks_exact_mut(COLUMNS).enumerate() {
                let mut rows = [[bf16::ZERO; COLUMNS]; 2];
                for (row, key) in rows.iter_mut().zip(2 * pair..self.v.tokens) {
                    let from = self.v.head(self.image, key, values.clone());
                    if let Some(from) = from.first_chunk::<COLUMNS>() {
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
    pub(super) fn share<S: Simd>(&self, simd: S, scores: &[f32], shares: &mut [bf16]) -> f32 {
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
    if to.len() == values.len() && values.len().is_multiple_of(COLUMNS) {
        for (to, from) in to.chunks_exact_mut(COLUMNS).zip(values.chunks_exact(COLUMNS)) {
            to.copy_from_slice(from);
        }
        return;
    }
    let (to, rest) = to.split_at_mut(values.len());
    to.copy_from_slice(values);
    rest.fill(bf16::ZERO);
}
