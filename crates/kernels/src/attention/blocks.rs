//! A head of f32, a tile of queries and a block of keys at a time.
//!
//! The largest score and the sum of a query's shares are carried from block to block, and what was summed before is scaled down
//! when a larger score comes. So only a tile's scores of one block exist, and they stay in the first- and second-level cache.

use std::ops::Range;

use super::Head;
use crate::{
    memory::Scratch,
    simd::{A_STRIDE, Ahead, F32Words, Simd, Work},
    softmax::{exp_row, largest, scale_into, scale_row},
};

/// Keys of a block: their scores with a tile of queries fill most of a first-level cache of 32 KB.
const KEYS: usize = 512;
/// Rows and columns of a tile, at most.
const TILE: (usize, usize) = (14, 32);

/// One head of one image.
pub(super) struct BlockHead<'a>(pub(super) Head<'a>);

impl Work for BlockHead<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let mut scratch = Scratch::take();
        self.compute(simd, &mut scratch);
        scratch.give_back();
    }
}

impl BlockHead<'_> {
    #[inline(always)]
    fn compute<S: Simd>(&self, simd: S, scratch: &mut Scratch) {
        let head = &self.0;
        let (size, keys, own) = (head.of.head_size, head.k.tokens, head.own());
        let key_panels = keys.div_ceil(S::TILE_COLUMNS);
        let value_panels = size.div_ceil(S::TILE_COLUMNS);
        let panel_width = value_panels * S::TILE_COLUMNS;
        let lengths = [key_panels * size * S::TILE_COLUMNS, keys * panel_width, S::TILE_ROWS * panel_width];
        scratch.block.reserve(2 * S::TILE_ROWS * A_STRIDE);
        scratch.words.reserve(lengths.iter().sum());
        let (queries, scores) = scratch.block.as_mut_slice().split_at_mut(S::TILE_ROWS * A_STRIDE);
        let (packed_keys, rest) = scratch.words.as_mut_slice().split_at_mut(lengths[0]);
        let (packed_values, sums) = rest.split_at_mut(lengths[1]);
        self.pack_keys(simd, packed_keys, own.clone());
        self.pack_values::<S>(packed_values, own.clone());

        let mut tile = [0.0; TILE.0 * TILE.1];
        let tile = &mut tile[..S::TILE_ROWS * S::TILE_COLUMNS];
        let mut first = 0;
        while first < head.q.tokens {
            let rows = S::TILE_ROWS.min(head.q.tokens - first);
            for row in 0..rows {
                let query = head.q.head(head.image, first + row, own.clone());
                scale_into(simd, query, head.of.scale, &mut queries[row * A_STRIDE..][..size]);
            }
            let mut most = [f32::NEG_INFINITY; TILE.0];
            let mut total = [0.0; TILE.0];
            let mut start = 0;
            while start < keys {
                let block = start..(start + KEYS).min(keys);
                for panel in block.start / S::TILE_COLUMNS..block.end.div_ceil(S::TILE_COLUMNS) {
                    head.ahead(simd, first, rows, (panel, key_panels));
                    let packed = &packed_keys[panel * size * S::TILE_COLUMNS..];
                    let scores = &mut scores[panel * S::TILE_COLUMNS - block.start..];
                    simd.tile::<F32Words>(queries, packed, size, Ahead::nothing(packed), scores, A_STRIDE);
                }
                for row in 0..rows {
                    // Up to whole vectors, with scores that have no share.
                    let whole = block.len().next_multiple_of(S::LANES);
                    let scores = &mut scores[row * A_STRIDE..][..whole];
                    scores[block.len()..].fill(f32::NEG_INFINITY);
                    let now = most[row].max(largest(simd, scores));
                    let shares = exp_row(simd, scores, now);
                    if block.start > 0 {
                        let factor = (most[row] - now).exp();
                        scale_row(simd, &mut sums[row * panel_width..][..panel_width], factor);
                        total[row] *= factor;
                    }
                    total[row] += shares;
                    most[row] = now;
                }
                for panel in 0..value_panels {
                    let packed = &packed_values[(panel * keys + block.start) * S::TILE_COLUMNS..];
                    let (steps, ahead) = (block.len(), Ahead::nothing(packed));
                    let sums = &mut sums[panel * S::TILE_COLUMNS..];
                    if block.start == 0 {
                        simd.tile::<F32Words>(scores, packed, steps, ahead, sums, panel_width);
                        continue;
                    }
                    simd.tile::<F32Words>(scores, packed, steps, ahead, tile, S::TILE_COLUMNS);
                    for (sums, tile) in sums.chunks_mut(panel_width).zip(tile.chunks_exact(S::TILE_COLUMNS)).take(rows)
                    {
                        for (sum, more) in sums.iter_mut().zip(tile) {
                            *sum += more;
                        }
                    }
                }
                start = block.end;
            }
            for row in 0..rows {
                // SAFETY: a row's columns of one head are written by one task alone, and none is kept.
                let y = unsafe { head.y.part(head.result(first + row, 0..size)) };
                scale_into(simd, &sums[row * panel_width..][..size], 1.0 / total[row], y);
            }
            first += rows;
        }
    }

    /// For each panel of keys, for each value of a head: that value of each key.
    #[inline(always)]
    fn pack_keys<S: Simd>(&self, simd: S, packed: &mut [f32], own: Range<usize>) {
        let Head { k, image, .. } = &self.0;
        let keys = k.tokens;
        for (panel, packed) in packed.chunks_exact_mut(own.len() * S::TILE_COLUMNS).enumerate() {
            for first in (0..S::TILE_COLUMNS).step_by(S::LANES) {
                let key = panel * S::TILE_COLUMNS + first;
                // Whole squares of keys and values are turned at once.
                let turned = if key + S::LANES <= keys { own.len() / S::LANES * S::LANES } else { 0 };
                for value in (0..turned).step_by(S::LANES) {
                    let start = (image * keys + key) * k.width + k.start + own.start + value;
                    let to = &mut packed[value * S::TILE_COLUMNS + first..];
                    simd.transpose(&k.values[start..], k.width, to, S::TILE_COLUMNS);
                }
                // Columns beyond the last key keep what they have: their scores are not read, and no other depends on them.
                for lane in 0..keys.saturating_sub(key).min(S::LANES) {
                    let values = &k.head(*image, key + lane, own.clone())[turned..];
                    let packed = packed[turned * S::TILE_COLUMNS..].chunks_exact_mut(S::TILE_COLUMNS);
                    for (values, packed) in values.iter().zip(packed) {
                        packed[first + lane] = *values;
                    }
                }
            }
        }
    }

    /// For each panel of a head's values, for each key: those values of it, and zeros where a panel is wider.
    #[inline(always)]
    fn pack_values<S: Simd>(&self, packed: &mut [f32], own: Range<usize>) {
        let Head { v, image, .. } = &self.0;
        for (panel, packed) in packed.chunks_exact_mut(v.tokens * S::TILE_COLUMNS).enumerate() {
            let from = panel * S::TILE_COLUMNS;
            let count = S::TILE_COLUMNS.min(own.len() - from);
            for (key, packed) in packed.chunks_exact_mut(S::TILE_COLUMNS).enumerate() {
                let values = &v.head(*image, key, own.clone())[from..from + count];
                if count == S::TILE_COLUMNS {
                    // A length that is known makes vectors of the copy.
                    packed[..S::TILE_COLUMNS].copy_from_slice(&values[..S::TILE_COLUMNS]);
                } else {
                    packed[..count].copy_from_slice(values);
                    packed[count..].fill(0.0);
                }
            }
        }
    }
}
