//! Attention, `softmax(q · kᵀ · scale) · v`, a tile of queries and a block of keys at a time.
//!
//! The largest score and the sum of a query's shares are carried from block to block, and what was summed before is scaled down
//! when a larger score comes. So only a tile's scores of one block exist, and they stay in the first- and second-level cache. Of
//! bf16 it is all keys at a time: see `pairs`, and on AMX `tiles`.

#[cfg(target_arch = "x86_64")]
mod halves;
#[cfg(target_arch = "x86_64")]
mod pairs;
#[cfg(target_arch = "x86_64")]
mod tiles;
mod wide;

use std::ops::Range;

use half::bf16;

#[cfg(target_arch = "x86_64")]
use crate::simd::{run_amx, run_bf16};
use crate::{
    Cpu, Error, Pool,
    error::{check, check_length},
    memory::{Scratch, Shared},
    pool::run_once,
    simd::{A_STRIDE, Ahead, F32Words, Simd, Work, run},
    softmax::{exp_row, largest, scale_into, scale_row},
};

/// Keys of a block.
const KEYS: usize = 256;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Rows and columns of a tile, at most.
const TILE: (usize, usize) = (14, 32);

/// Attention of all heads.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// What it runs on.
    pub cpu: Cpu,
    /// How many.
    pub heads: usize,
    /// Values of a head.
    pub head_size: usize,
    /// What scores are multiplied with, mostly `1 / √head_size`.
    pub scale: f32,
}

/// Columns of a matrix: for each image, for each token, a row, in which the heads stand side by side from a column on.
///
/// Of a fused `[images * tokens, 3 * width]`, queries begin at column 0, keys at `width` and values at `2 * width`.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a, T = f32> {
    /// The whole matrix.
    pub values: &'a [T],
    /// Values of a row.
    pub width: usize,
    /// Where the first head begins.
    pub start: usize,
    /// Of an image.
    pub tokens: usize,
}

impl<T> Tokens<'_, T> {
    #[inline(always)]
    fn head(&self, image: usize, token: usize, head: Range<usize>) -> &[T] {
        &self.values[(image * self.tokens + token) * self.width + self.start..][head]
    }

    /// A hint that what stands in `head` of a token will be read.
    #[inline(always)]
    fn ahead<S: Simd>(&self, simd: S, image: usize, token: usize, head: Range<usize>) {
        let start = (image * self.tokens + token) * self.width + self.start;
        for value in head.step_by(LINE / size_of::<T>()) {
            simd.prefetch_far(self.values.as_ptr().wrapping_add(start + value).cast());
        }
    }

    fn images(&self, width: usize) -> Result<usize, Error> {
        check(self.tokens > 0 && self.width > 0, "an image has tokens, and a token values")?;
        check(self.start.checked_add(width).is_some_and(|end| end <= self.width), "the heads are within a row")?;
        check(self.width <= 1 << 24, "a token has at most 2^24 values")?;
        let image = self.tokens.checked_mul(self.width).filter(|image| self.values.len().is_multiple_of(*image));
        check(image.is_some(), "tokens are whole images")?;
        Ok(image.map_or(0, |image| self.values.len() / image))
    }
}

impl Attention {
    /// Writes `y`, `[images, q.tokens, heads * head_size]`.
    pub fn apply(
        &self,
        q: Tokens<'_>,
        k: Tokens<'_>,
        v: Tokens<'_>,
        y: &mut [f32],
        pool: &dyn Pool,
    ) -> Result<(), Error> {
        let images = self.images(&q, &k, &v, y.len())?;
        let y = Shared::new(y);
        run_once(pool, images * self.heads, |task| {
            let (image, number) = (task / self.heads, task % self.heads);
            run(self.cpu, Head { q, k, v, y: &y, image, number, of: *self });
        });
        Ok(())
    }

    /// As [`apply`](Self::apply), of bf16, which is also what scores and shares are multiplied in where the processor has such
    /// products; elsewhere they are f32. Sums are f32, and results are rounded once.
    pub fn apply_bf16(
        &self,
        q: Tokens<'_, bf16>,
        k: Tokens<'_, bf16>,
        v: Tokens<'_, bf16>,
        y: &mut [bf16],
        pool: &dyn Pool,
    ) -> Result<(), Error> {
        let images = self.images(&q, &k, &v, y.len())?;
        let y = Shared::new(y);
        run_once(pool, images * self.heads, |task| {
            let (image, number) = (task / self.heads, task % self.heads);
            #[cfg(target_arch = "x86_64")]
            {
                let head = halves::HalfHead { q, k, v, y: &y, image, number, of: *self };
                if run_amx(self.cpu, tiles::TileHead(head)) {
                    return;
                }
                if pairs::PairHead::can(&head) && run_bf16(self.cpu, pairs::PairHead(head)) {
                    return;
                }
            }
            wide::WideHead { q, k, v, y: &y, image, number, of: *self }.run();
        });
        Ok(())
    }

    /// The columns of a head.
    fn columns(&self, number: usize) -> Range<usize> {
        number * self.head_size..(number + 1) * self.head_size
    }

    /// The image of what mostly is the next task, and the columns of its head.
    fn next(&self, image: usize, number: usize) -> (usize, Range<usize>) {
        if number + 1 < self.heads { (image, self.columns(number + 1)) } else { (image + 1, self.columns(0)) }
    }

    /// How many images there are, once everything fits.
    fn images<T>(&self, q: &Tokens<'_, T>, k: &Tokens<'_, T>, v: &Tokens<'_, T>, y: usize) -> Result<usize, Error> {
        check(self.heads > 0 && (1..=A_STRIDE).contains(&self.head_size), "there are heads, of 1 to 1040 values")?;
        check(self.heads <= 1 << 16, "there are at most 65536 heads")?;
        let width = self.heads * self.head_size;
        let images = q.images(width)?;
        check(
            k.images(width)? == images && v.images(width)? == images,
            "queries, keys and values are of as many images",
        )?;
        check(k.tokens == v.tokens, "there are as many keys as values")?;
        check_length("output", images * q.tokens * width, y)?;
        Ok(images)
    }
}

/// One head of one image.
struct Head<'a> {
    q: Tokens<'a>,
    k: Tokens<'a>,
    v: Tokens<'a>,
    y: &'a Shared<'a>,
    image: usize,
    number: usize,
    of: Attention,
}

impl Work for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let mut scratch = Scratch::take();
        self.compute(simd, &mut scratch);
        scratch.give_back();
    }
}

impl Head<'_> {
    #[inline(always)]
    fn compute<S: Simd>(&self, simd: S, scratch: &mut Scratch) {
        let (size, keys) = (self.of.head_size, self.k.tokens);
        let own = self.of.columns(self.number);
        let (next_image, next) = self.of.next(self.image, self.number);
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
        for token in 0..keys {
            self.k.ahead(simd, next_image, token, next.clone());
            self.v.ahead(simd, next_image, token, next.clone());
        }

        let mut tile = [0.0; TILE.0 * TILE.1];
        let tile = &mut tile[..S::TILE_ROWS * S::TILE_COLUMNS];
        let mut first = 0;
        while first < self.q.tokens {
            let rows = S::TILE_ROWS.min(self.q.tokens - first);
            for row in 0..rows {
                let query = self.q.head(self.image, first + row, own.clone());
                scale_into(simd, query, self.of.scale, &mut queries[row * A_STRIDE..][..size]);
                self.q.ahead(simd, next_image, first + row, next.clone());
            }
            let mut most = [f32::NEG_INFINITY; TILE.0];
            let mut total = [0.0; TILE.0];
            let mut start = 0;
            while start < keys {
                let block = start..(start + KEYS).min(keys);
                for panel in block.start / S::TILE_COLUMNS..block.end.div_ceil(S::TILE_COLUMNS) {
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
                let target = (self.image * self.q.tokens + first + row) * self.of.heads * size;
                // SAFETY: a row's columns of one head are written by one task alone.
                let y = unsafe { self.y.part(target + own.start..target + own.end) };
                scale_into(simd, &sums[row * panel_width..][..size], 1.0 / total[row], y);
            }
            first += rows;
        }
    }

    /// For each panel of keys, for each value of a head: that value of each key.
    #[inline(always)]
    fn pack_keys<S: Simd>(&self, simd: S, packed: &mut [f32], own: Range<usize>) {
        let keys = self.k.tokens;
        for (panel, packed) in packed.chunks_exact_mut(own.len() * S::TILE_COLUMNS).enumerate() {
            for first in (0..S::TILE_COLUMNS).step_by(S::LANES) {
                let key = panel * S::TILE_COLUMNS + first;
                // Whole squares of keys and values are turned at once.
                let turned = if key + S::LANES <= keys { own.len() / S::LANES * S::LANES } else { 0 };
                for value in (0..turned).step_by(S::LANES) {
                    let start = (self.image * keys + key) * self.k.width + self.k.start + own.start + value;
                    let to = &mut packed[value * S::TILE_COLUMNS + first..];
                    simd.transpose(&self.k.values[start..], self.k.width, to, S::TILE_COLUMNS);
                }
                // Columns beyond the last key keep what they have: their scores are not read, and no other depends on them.
                for lane in 0..keys.saturating_sub(key).min(S::LANES) {
                    let values = &self.k.head(self.image, key + lane, own.clone())[turned..];
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
        for (panel, packed) in packed.chunks_exact_mut(self.v.tokens * S::TILE_COLUMNS).enumerate() {
            let from = panel * S::TILE_COLUMNS;
            let count = S::TILE_COLUMNS.min(own.len() - from);
            for (key, packed) in packed.chunks_exact_mut(S::TILE_COLUMNS).enumerate() {
                let values = &self.v.head(self.image, key, own.clone())[from..from + count];
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
