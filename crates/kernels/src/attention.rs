//! Attention, `softmax(q · kᵀ · scale) · v`, a head of an image at a time.
//!
//! The matrix of scores is never written: there are those of a tile of queries, which stay in the cache. Of f32 it is a block of keys at a
//! time (`blocks`). Of bf16 it is all keys, on AMX in `tiles`, where there are dot products in `pairs`, and elsewhere as f32 (`wide`).

mod blocks;
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
    memory::Shared,
    pool::{run_once, share},
    simd::{A_STRIDE, Simd, prefetch_values, run},
};

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
        prefetch_values(simd, self.values.as_ptr().wrapping_add(start + head.start), head.len());
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
            run(self.cpu, blocks::BlockHead(Head { q, k, v, y: &y, image, number, of: *self }));
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
            let head = Head { q, k, v, y: &y, image, number, of: *self };
            #[cfg(target_arch = "x86_64")]
            {
                if run_amx(self.cpu, tiles::TileHead(head)) {
                    return;
                }
                if pairs::can(&head) && run_bf16(self.cpu, pairs::PairHead(head)) {
                    return;
                }
            }
            wide::run_head(&head);
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

/// One head of one image: what a task computes.
#[derive(Clone, Copy)]
struct Head<'a, T = f32> {
    q: Tokens<'a, T>,
    k: Tokens<'a, T>,
    v: Tokens<'a, T>,
    /// The whole output.
    y: &'a Shared<'a, T>,
    image: usize,
    number: usize,
    of: Attention,
}

impl<T> Head<'_, T> {
    /// This head's columns.
    #[inline(always)]
    fn own(&self) -> Range<usize> {
        self.of.columns(self.number)
    }

    /// Hints of what will be read soon, to be given before each of `parts` products that `rows` queries from `first` on are
    /// multiplied in: their results' places, the queries after them, and a share of the next head.
    #[inline(always)]
    fn ahead<S: Simd>(&self, simd: S, first: usize, rows: usize, (part, parts): (usize, usize)) {
        for row in share(rows, parts, part) {
            let result = self.result(first + row, 0..self.of.head_size);
            prefetch_values(simd, self.y.address(result.start), result.len());
            self.q.ahead(simd, self.image, first + rows + row, self.own());
        }
        let (image, columns) = self.of.next(self.image, self.number);
        let upto = |query: usize| query * self.k.tokens / self.q.tokens;
        let (from, to) = (upto(first), upto(first + rows));
        for token in share(to - from, parts, part) {
            self.k.ahead(simd, image, from + token, columns.clone());
            self.v.ahead(simd, image, from + token, columns.clone());
        }
        if first == 0 {
            for row in share(rows, parts, part) {
                self.q.ahead(simd, image, row, columns.clone());
            }
        }
    }

    /// Where some values of a query's result stand in the output: no other head has any of them.
    #[inline(always)]
    fn result(&self, query: usize, values: Range<usize>) -> Range<usize> {
        let start = ((self.image * self.q.tokens + query) * self.of.heads + self.number) * self.of.head_size;
        start + values.start..start + values.end
    }
}
