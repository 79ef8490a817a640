//! Some rows of a product, for some of its columns: what one task does.

use std::ops::Range;

use super::{
    Linear, Precision, Source, Then,
    epilogue::Epilogue,
    stage::{Quantised, Stage, VALUES},
};
use crate::{
    memory::{Scratch, Shared},
    simd::{A_STRIDE, Ahead, Bf16Pairs, F32Words, I8Quads, Simd, Work, prefetch_values},
    value::Lanes,
};

/// Rows that are staged at once, at most: see [`block_steps`](crate::simd::block_steps).
pub(super) const ROWS: usize = 112;
/// Words of a tile, at most: 14 rows of 32.
const TILE: usize = 14 * 32;

/// The task. Where its steps are more than one block, sums are kept in the output between them, which is f32 then.
pub(super) struct Block<'a, Y> {
    pub(super) linear: &'a Linear,
    pub(super) source: &'a dyn Source,
    /// The whole output.
    pub(super) y: &'a Shared<'a, Y>,
    /// Of the source, at most [`ROWS`].
    pub(super) rows: Range<usize>,
    pub(super) panels: Range<usize>,
    pub(super) then: Then,
}

impl<Y: Lanes> Work for Block<'_, Y> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let mut scratch = Scratch::take();
        self.compute(simd, &mut scratch);
        scratch.give_back();
    }
}

impl<Y: Lanes> Block<'_, Y> {
    #[inline(always)]
    fn compute<S: Simd>(&self, simd: S, scratch: &mut Scratch) {
        let Linear { geometry, precision, .. } = *self.linear;
        let tiles = self.rows.len().div_ceil(S::TILE_ROWS);
        scratch.block.reserve(tiles * S::TILE_ROWS * A_STRIDE);
        scratch.words.reserve(VALUES);
        let (staged, buffer) = (scratch.block.as_mut_slice(), scratch.words.as_mut_slice());
        let mut quantised = [Quantised::NOT; ROWS];
        let stage = Stage { linear: self.linear, source: self.source };
        let mut targets = [0; ROWS];
        for (row, target) in self.rows.clone().zip(&mut targets) {
            *target = self.source.target(row) * self.linear.outputs;
        }
        let mut tile = [0.0; TILE];
        let tile = &mut tile[..S::TILE_ROWS * S::TILE_COLUMNS];
        for block in 0..geometry.blocks() {
            let steps = geometry.steps_of(block);
            for (row, quantised) in self.rows.clone().zip(&mut quantised) {
                if block == 0 {
                    // Just before it is staged, so that the row is read from memory once.
                    *quantised = stage.range(simd, row, buffer);
                }
                let staged = &mut staged[(row - self.rows.start) * A_STRIDE..][..steps.len()];
                stage.words(simd, row, &steps, *quantised, staged, buffer);
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
                    let targets = &targets[first..first + rows];
                    for target in targets {
                        // The product takes as long as memory takes to answer.
                        prefetch_values(simd, self.y.address(target + columns.start), columns.len());
                    }
                    let ahead = Ahead::after(packed, steps.len(), number, tiles);
                    let (steps, stride) = (steps.len(), S::TILE_COLUMNS);
                    match precision {
                        Precision::F32 => simd.tile::<F32Words>(staged, packed, steps, ahead, tile, stride),
                        Precision::Bf16 => simd.tile::<Bf16Pairs>(staged, packed, steps, ahead, tile, stride),
                        Precision::Int8 => simd.tile::<I8Quads>(staged, packed, steps, ahead, tile, stride),
                    }
                    // SAFETY: tasks share neither rows of the source, which have targets of their own, nor panels.
                    unsafe {
                        epilogue.tile(simd, tile, &quantised[first..first + rows], targets, columns.clone());
                    }
                }
            }
        }
    }
}
