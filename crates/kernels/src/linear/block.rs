//! Some rows of a product, for some of its columns: what one task does.

use std::ops::Range;

use super::{Linear, Precision, Source, Then, epilogue::Epilogue};
use crate::{
    memory::{Scratch, Shared, bytes_mut, halves_mut},
    simd::{A_STRIDE, BLOCK_STEPS, Bf16Pairs, F32Words, I8Quads, Simd, Work},
};

/// Rows that are staged at once, at most: see [`BLOCK_STEPS`].
pub(super) const ROWS: usize = 112;
/// Values of a block of a row, at most.
const VALUES: usize = BLOCK_STEPS * 4;
/// Words of a tile, at most: 14 rows of 32.
const TILE: usize = 14 * 32;

/// The task.
pub(super) struct Block<'a, T> {
    pub(super) linear: &'a Linear,
    pub(super) source: &'a T,
    /// The whole output.
    pub(super) y: &'a Shared<'a>,
    /// Of the source, at most [`ROWS`].
    pub(super) rows: Range<usize>,
    pub(super) panels: Range<usize>,
    pub(super) then: Then,
}

/// How a row's bytes are to be read: `value = offset + scale * byte`.
#[derive(Clone, Copy)]
pub(super) struct Quantised {
    pub(super) scale: f32,
    pub(super) offset: f32,
}

impl<T: Source> Work for Block<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let mut scratch = Scratch::take();
        self.compute(simd, &mut scratch);
        scratch.give_back();
    }
}

impl<T: Source> Block<'_, T> {
    #[inline(always)]
    fn compute<S: Simd>(&self, simd: S, scratch: &mut Scratch) {
        let Linear { geometry, precision, .. } = *self.linear;
        let tiles = self.rows.len().div_ceil(S::TILE_ROWS);
        scratch.block.reserve(tiles * S::TILE_ROWS * A_STRIDE);
        scratch.words.reserve(VALUES);
        let (staged, buffer) = (scratch.block.as_mut_slice(), scratch.words.as_mut_slice());
        let mut quantised = [Quantised { scale: 1.0, offset: 0.0 }; ROWS];
        let dynamic = precision == Precision::Int8 && !self.source.is_bytes();
        let mut targets = [0; ROWS];
        let mut tile = [0.0; TILE];
        let tile = &mut tile[..S::TILE_ROWS * S::TILE_COLUMNS];
        for block in 0..geometry.blocks() {
            let steps = geometry.steps_of(block);
            for (row, quantised) in self.rows.clone().zip(&mut quantised) {
                if dynamic && block == 0 {
                    // Just before it is staged, so that the row is read from memory once.
                    *quantised = self.range(simd, row, buffer);
                }
                let staged = &mut staged[(row - self.rows.start) * A_STRIDE..][..steps.len()];
                self.stage(simd, row, &steps, *quantised, staged, buffer);
            }
            let epilogue = Epilogue {
                y: self.y,
                linear: self.linear,
                first: block == 0,
                last: block + 1 == geometry.blocks(),
                then: self.then,
            };
            for panel in self.panels.clone() {
                let packed = &self.linear.words.as_slice()[geometry.panel(block, panel)];
                let columns = panel * S::TILE_COLUMNS..((panel + 1) * S::TILE_COLUMNS).min(self.linear.outputs);
                for number in 0..tiles {
                    let first = number * S::TILE_ROWS;
                    let staged = &staged[first * A_STRIDE..];
                    let rows = S::TILE_ROWS.min(self.rows.len() - first);
                    for (row, target) in targets.iter_mut().enumerate().take(rows) {
                        *target = self.source.target(self.rows.start + first + row) * self.linear.outputs;
                        // The product takes as long as memory takes to answer.
                        for line in (columns.start..columns.end).step_by(16) {
                            simd.prefetch(self.y.address(*target + line));
                        }
                    }
                    match precision {
                        Precision::F32 => simd.tile::<F32Words>(staged, packed, steps.len(), tile),
                        Precision::Bf16 => simd.tile::<Bf16Pairs>(staged, packed, steps.len(), tile),
                        Precision::Int8 => simd.tile::<I8Quads>(staged, packed, steps.len(), tile),
                    }
                    // SAFETY: tasks share neither rows of the source, which have targets of their own, nor panels.
                    unsafe {
                        epilogue.tile(simd, tile, &quantised[first..first + rows], &targets[..rows], columns.clone());
                    }
                }
            }
        }
    }

    /// The scale and offset that bring a row's smallest value to 0 and its largest to 255.
    #[inline(always)]
    fn range<S: Simd>(&self, simd: S, row: usize, buffer: &mut [f32]) -> Quantised {
        let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
        let mut start = 0;
        while start < self.linear.inputs {
            let end = (start + VALUES).min(self.linear.inputs);
            let values = self.source.read(row, start..end, buffer);
            let chunks = values.chunks_exact(S::LANES);
            for x in chunks.remainder() {
                (least, most) = (least.min(*x), most.max(*x));
            }
            let mut mosts = simd.splat(f32::NEG_INFINITY);
            let mut leasts = mosts;
            for chunk in chunks {
                let x = simd.load(chunk);
                mosts = simd.max(mosts, x);
                leasts = simd.max(leasts, simd.sub(simd.splat(0.0), x));
            }
            most = most.max(simd.largest(mosts));
            least = least.min(-simd.largest(leasts));
            start = end;
        }
        Quantised { scale: (most - least) * (1.0 / 255.0), offset: least }
    }

    /// Writes a row's part as words.
    #[inline(always)]
    fn stage<S: Simd>(
        &self,
        simd: S,
        row: usize,
        steps: &Range<usize>,
        quantised: Quantised,
        staged: &mut [f32],
        buffer: &mut [f32],
    ) {
        let per_word = self.linear.precision.per_word();
        let range = steps.start * per_word..(steps.end * per_word).min(self.linear.inputs);
        let values = self.source.read(row, range, buffer);
        match self.linear.precision {
            Precision::F32 => staged.copy_from_slice(values),
            Precision::Bf16 => {
                let to = halves_mut(staged);
                let whole = values.len() / S::LANES * S::LANES;
                for (from, to) in values.chunks_exact(S::LANES).zip(to.chunks_exact_mut(S::LANES)) {
                    simd.store_bf16(simd.load(from), to);
                }
                let mut last = [0; 64];
                simd.store_bf16(simd.load_part(&values[whole..]), &mut last);
                let rest = &mut to[whole..];
                rest.copy_from_slice(&last[..rest.len()]);
            }
            Precision::Int8 => {
                let to = bytes_mut(staged);
                let whole = values.len() / S::LANES * S::LANES;
                let inverse = simd.splat(if quantised.scale > 0.0 { 1.0 / quantised.scale } else { 0.0 });
                let offset = simd.splat(quantised.offset);
                for (from, to) in values.chunks_exact(S::LANES).zip(to.chunks_exact_mut(S::LANES)) {
                    simd.store_u8(simd.mul(simd.sub(simd.load(from), offset), inverse), to);
                }
                let mut last = [0; 64];
                simd.store_u8(simd.mul(simd.sub(simd.load_part(&values[whole..]), offset), inverse), &mut last);
                // Bytes beyond the row meet weights of zero.
                let rest = &mut to[whole..];
                rest.copy_from_slice(&last[..rest.len()]);
            }
        }
    }
}
