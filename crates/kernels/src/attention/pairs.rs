//! A head of bf16 by dot products of pairs: a tile of queries with all keys, their shares, and these with all values.

use half::bf16;

use super::{
    Head,
    halves::{COLUMNS, Sizes},
};
use crate::{
    memory::{Scratch, halves_mut},
    simd::{A_STRIDE, Ahead, Bf16Pairs, Simd, Work},
};

/// Rows of a tile, at most.
const ROWS: usize = 14;

/// One head of one image, for which there is [room](can).
pub(super) struct PairHead<'a>(pub(super) Head<'a, bf16>);

/// Whether the shares of a query fit into a staged row: 2,080 keys do.
pub(super) fn can(head: &Head<'_, bf16>) -> bool {
    head.sizes().keys / 2 <= A_STRIDE
}

impl Work for PairHead<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let mut scratch = Scratch::take();
        self.compute(simd, &mut scratch);
        scratch.give_back();
    }
}

impl PairHead<'_> {
    #[inline(always)]
    fn compute<S: Simd>(&self, simd: S, scratch: &mut Scratch) {
        let head = &self.0;
        let sizes @ Sizes { size, keys, values, scores: stride } = head.sizes();
        let [keys_length, values_length] = sizes.packed();
        scratch.block.reserve(keys_length + values_length + 2 * ROWS * A_STRIDE);
        scratch.words.reserve(ROWS * (stride + COLUMNS));
        let (packed_keys, rest) = scratch.block.as_mut_slice().split_at_mut(keys_length);
        let (packed_values, rest) = rest.split_at_mut(values_length);
        let (queries, shares) = rest.split_at_mut(ROWS * A_STRIDE);
        let (scores, sums) = scratch.words.as_mut_slice().split_at_mut(ROWS * stride);
        head.pack_keys(simd, sizes, packed_keys);
        head.pack_values(simd, sizes, packed_values);
        // Pairs of values and of keys that are there; what is packed goes on with zeros.
        let (value_pairs, key_pairs) = (head.of.head_size.div_ceil(2), head.k.tokens.div_ceil(2));
        for first in (0..head.q.tokens).step_by(S::TILE_ROWS) {
            let count = S::TILE_ROWS.min(head.q.tokens - first);
            for (row, to) in queries.chunks_exact_mut(A_STRIDE).enumerate().take(count) {
                head.place_query(first + row, &mut to[..size]);
            }
            for panel in 0..keys / COLUMNS {
                head.ahead(simd, first, count, (panel, keys / COLUMNS));
                let packed = &packed_keys[panel * size * COLUMNS..][..size * COLUMNS];
                let scores = &mut scores[panel * COLUMNS..];
                simd.tile::<Bf16Pairs>(queries, packed, value_pairs, Ahead::nothing(packed), scores, stride);
            }
            let mut factors = [0.0; ROWS];
            for (row, factor) in factors.iter_mut().enumerate().take(count) {
                let shares = halves_mut(&mut shares[row * A_STRIDE..][..keys / 2]);
                *factor = head.share(simd, &scores[row * stride..][..keys], shares);
            }
            for panel in 0..values / COLUMNS {
                let packed = &packed_values[panel * keys / 2 * COLUMNS..][..keys / 2 * COLUMNS];
                simd.tile::<Bf16Pairs>(shares, packed, key_pairs, Ahead::nothing(packed), sums, COLUMNS);
                for (row, factor) in factors.iter().enumerate().take(count) {
                    head.write(simd, first + row, panel, &sums[row * COLUMNS..][..COLUMNS], *factor);
                }
            }
        }
    }
}
