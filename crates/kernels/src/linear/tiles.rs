//! Some rows of a product, for some of its columns, on AMX: what one task does there.
//!
//! All of the task's rows are staged, and stay in the second-level cache while panel after panel of weights comes by once. A tile
//! of 32 by 32 sums is complete when the tile registers give it up, and is finished by AVX-512 while the next one is multiplied.

use std::ops::Range;

use super::{
    Linear, Precision, Source, Then,
    epilogue::Epilogue,
    stage::{Quantised, Stage, VALUES},
};
use crate::{
    amx::{Left, SIDE, STEPS, SUMS, Tiles},
    memory::{Scratch, Shared},
    simd::{Simd, Work},
    value::Lanes,
};

/// Rows and columns of the sums.
pub(super) const SQUARE: usize = 2 * SIDE;
/// Words of staged rows, at most: half of a second-level cache of 2 MB.
const WORDS: usize = 1 << 18;
/// Tiles of steps that are summed before sums go to memory for a while, at most.
const BLOCK: usize = 32;
/// Steps of a panel that stay in the first-level cache of 48 KB; the others come from the second again, as rows do.
const NEAR: usize = 16 * STEPS;
/// Words of a cache line.
const LINE: usize = 16;

/// Rows that a task of so many steps stages at most.
pub(super) fn rows(steps: usize) -> usize {
    (WORDS / steps / SQUARE * SQUARE).max(SQUARE)
}

/// The task.
pub(super) struct TileBlock<'a, Y> {
    pub(super) linear: &'a Linear,
    pub(super) source: &'a dyn Source,
    /// The whole output.
    pub(super) y: &'a Shared<'a, Y>,
    /// Of the source.
    pub(super) rows: Range<usize>,
    pub(super) panels: Range<usize>,
    pub(super) then: Then,
}

/// A row of the task.
#[derive(Clone, Copy)]
struct Row {
    quantised: Quantised,
    /// Where its results begin.
    target: usize,
}

/// Sums that wait for their epilogue.
struct Waiting {
    /// Where they stand.
    slot: usize,
    /// Of the task.
    rows: Range<usize>,
    columns: Range<usize>,
    /// How many rows are finished.
    finished: usize,
}

impl<Y: Lanes> Work for TileBlock<'_, Y> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let mut scratch = Scratch::take();
        self.compute(simd, &mut scratch);
        scratch.give_back();
    }
}

impl<Y: Lanes> TileBlock<'_, Y> {
    #[inline(always)]
    fn compute<S: Simd>(&self, simd: S, scratch: &mut Scratch) {
        let steps = self.linear.geometry.steps;
        // An odd number of lines, so that rows do not meet in the same cache sets.
        let stride = ((steps / LINE) | 1) * LINE;
        let squares = self.rows.len().div_ceil(SQUARE);
        let blocks = (steps / STEPS).div_ceil(BLOCK);
        let block_steps = (steps / STEPS).div_ceil(blocks) * STEPS;
        // Those that are summed, and those before, which are being finished.
        let slots = if blocks == 1 { 2 } else { squares + 1 };
        scratch.block.reserve(squares * SQUARE * stride);
        scratch.words.reserve(VALUES.max(slots * SUMS));
        let (staged, sums) = (scratch.block.as_mut_slice(), scratch.words.as_mut_slice());
        let rows = self.stage(simd, stride, staged, sums);
        let epilogue = Epilogue { linear: self.linear, y: self.y, first: true, last: true, then: self.then };
        let mut waiting = Waiting { rows: 0..0, columns: 0..0, finished: 0, slot: 0 };
        // SAFETY: the work is run where there is AMX, and takes no tiles elsewhere.
        let mut tiles = unsafe { Tiles::take() };
        let words = self.linear.words.as_slice();
        let mut begun = 0;
        for panel in self.panels.clone() {
            let range = self.linear.geometry.panel(0, panel);
            let packed = &words[range.clone()];
            let columns = panel * SQUARE..((panel + 1) * SQUARE).min(self.linear.outputs);
            // Of the next panel, for each step of each square.
            let ahead = range.len().div_ceil(LINE).div_ceil(squares * (steps / STEPS));
            let mut next = range.end;
            for block in (0..steps).step_by(block_steps) {
                let block = block..(block + block_steps).min(steps);
                for square in 0..squares {
                    let own = square * SQUARE..((square + 1) * SQUARE).min(rows.len());
                    let slot = (begun + square) % slots;
                    let last = block.end == steps;
                    if block.start == 0 {
                        tiles.clear();
                    } else {
                        tiles.load(&sums[slot * SUMS..][..SUMS]);
                    }
                    let left = &staged[own.start * stride..][..SQUARE * stride];
                    let whole = own.len() > SIDE;
                    let share = waiting.rows.len().div_ceil(block.len() / STEPS);
                    let expected = own.len().div_ceil(block.len() / STEPS);
                    for step in block.clone().step_by(STEPS) {
                        let far = step - block.start >= NEAR;
                        self.multiply(&mut tiles, whole, &left[step..], stride, &packed[step * SQUARE..], far);
                        for _ in 0..ahead {
                            simd.prefetch_far(words.as_ptr().wrapping_add(next));
                            next += LINE;
                        }
                        if last {
                            // Where this square's results will go.
                            let number = (step - block.start) / STEPS * expected;
                            for row in &rows[own.clone()][number.min(own.len())..(number + expected).min(own.len())] {
                                simd.prefetch_far(self.y.address(row.target + columns.start).cast());
                                simd.prefetch_far(self.y.address(row.target + columns.end - 1).cast());
                            }
                        }
                        self.finish(simd, &epilogue, &mut waiting, sums, &rows, share);
                    }
                    tiles.store(&mut sums[slot * SUMS..][..SUMS], SQUARE);
                    if last {
                        waiting = Waiting { rows: own, columns: columns.clone(), finished: 0, slot };
                    }
                }
            }
            begun += squares;
        }
        drop(tiles);
        self.finish(simd, &epilogue, &mut waiting, sums, &rows, SQUARE);
    }

    /// Puts the task's rows into words, `stride` apart.
    #[inline(always)]
    fn stage<S: Simd>(&self, simd: S, stride: usize, staged: &mut [f32], buffer: &mut [f32]) -> Vec<Row> {
        let (stage, steps) = (Stage { linear: self.linear, source: self.source }, self.linear.geometry.steps);
        let part = VALUES / self.linear.precision.per_word();
        let mut rows = Vec::with_capacity(self.rows.len());
        // A loop, as a closure that the standard library calls is compiled without the instructions of this function.
        for (row, staged) in self.rows.clone().zip(staged.chunks_exact_mut(stride)) {
            let quantised = stage.range(simd, row, buffer);
            let mut start = 0;
            while start < steps {
                let end = (start + part).min(steps);
                stage.words(simd, row, &(start..end), quantised, &mut staged[start..end], buffer);
                start = end;
            }
            rows.push(Row { quantised, target: self.source.target(row) * self.linear.outputs });
        }
        rows
    }

    /// Adds 16 steps of 32 rows, or 16 of them, and 32 columns to the tiles.
    #[inline(always)]
    fn multiply(&self, tiles: &mut Tiles, whole: bool, left: &[f32], stride: usize, right: &[f32], far: bool) {
        let rows = if whole { SQUARE } else { SIDE };
        assert!(left.len() >= (rows - 1) * stride + STEPS && right.len() >= STEPS * SQUARE);
        let left = Left { at: left.as_ptr().cast(), stride: 4 * stride, whole };
        // SAFETY: so many rows of 16 words, and as many steps of 32 columns, are within the slices, as just checked.
        unsafe { tiles.step(left, right.as_ptr().cast(), far, self.linear.precision == Precision::Int8) };
    }

    /// Finishes so many rows of what waits, or what is left.
    #[inline(always)]
    fn finish<S: Simd>(
        &self,
        simd: S,
        epilogue: &Epilogue<'_, Y>,
        waiting: &mut Waiting,
        sums: &[f32],
        rows: &[Row],
        count: usize,
    ) {
        let begin = waiting.finished;
        let end = (begin + count).min(waiting.rows.len());
        if begin >= end {
            return;
        }
        waiting.finished = end;
        let sums = &sums[waiting.slot * SUMS..][begin * SQUARE..end * SQUARE];
        let rows = &rows[waiting.rows.start..][begin..end];
        if self.linear.precision == Precision::Int8 {
            self.finish_rows::<S, true>(simd, epilogue, &waiting.columns, sums, rows);
        } else {
            self.finish_rows::<S, false>(simd, epilogue, &waiting.columns, sums, rows);
        }
    }

    #[inline(always)]
    fn finish_rows<S: Simd, const INT8: bool>(
        &self,
        simd: S,
        epilogue: &Epilogue<'_, Y>,
        columns: &Range<usize>,
        sums: &[f32],
        rows: &[Row],
    ) {
        let (start, end) = (columns.start, columns.end);
        let columns = [epilogue.columns::<S, INT8>(simd, start), epilogue.columns::<S, INT8>(simd, start + S::LANES)];
        for (row, sums) in rows.iter().zip(sums.chunks_exact(SQUARE)) {
            let quantised = row.quantised;
            let (left, right) = (simd.load(&sums[..S::LANES]), simd.load(&sums[S::LANES..]));
            // SAFETY: tasks share neither rows of the source, which have targets of their own, nor panels; and none is kept.
            let y = unsafe { self.y.part(row.target + start..row.target + end) };
            if y.len() == SQUARE {
                epilogue.vector::<S, INT8>(simd, left, quantised, columns[0], &mut y[..S::LANES]);
                epilogue.vector::<S, INT8>(simd, right, quantised, columns[1], &mut y[S::LANES..]);
                continue;
            }
            for (v, y) in y.chunks_mut(S::LANES).enumerate() {
                let sum = if v == 0 { left } else { right };
                epilogue.vector::<S, INT8>(simd, sum, quantised, columns[v], y);
            }
        }
    }
}
