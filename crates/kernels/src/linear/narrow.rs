//! A task whose results are narrower than its sums, and whose steps are more than one block: sums are kept as f32 until they are
//! complete.

use std::{mem::take, ops::Range};

use half::bf16;

use super::{Linear, Source, Then, block::Block};
use crate::{
    memory::{Scratch, Shared},
    simd::{Simd, Work, run},
    value::Lanes as _,
};

/// The task.
pub(super) struct Narrow<'a> {
    pub(super) linear: &'a Linear,
    pub(super) source: &'a dyn Source,
    /// The whole output.
    pub(super) y: &'a Shared<'a, bf16>,
    /// Of the source.
    pub(super) rows: Range<usize>,
    pub(super) panels: Range<usize>,
    pub(super) then: Then,
}

/// A source whose results go to rows of their own, from 0 on.
struct Own<'a> {
    source: &'a dyn Source,
    first: usize,
}

impl Source for Own<'_> {
    fn rows(&self) -> usize {
        self.source.rows()
    }

    fn read<'a>(&'a self, row: usize, values: Range<usize>, buffer: &'a mut [f32]) -> &'a [f32] {
        self.source.read(row, values, buffer)
    }

    fn halves(&self, row: usize, values: Range<usize>) -> Option<&[bf16]> {
        self.source.halves(row, values)
    }

    fn target(&self, row: usize) -> usize {
        row - self.first
    }

    fn is_bytes(&self) -> bool {
        self.source.is_bytes()
    }
}

impl Narrow<'_> {
    pub(super) fn run(&self) {
        let cpu = self.linear.cpu;
        let mut scratch = Scratch::take();
        let mut words = take(&mut scratch.sums);
        scratch.give_back();
        let count = self.rows.len() * self.linear.outputs;
        words.reserve(count);
        let sums = &mut words.as_mut_slice()[..count];
        if self.then == Then::Add {
            run(cpu, Copy { task: self, sums, back: false });
        }
        let own = Own { source: self.source, first: self.rows.start };
        let (linear, then) = (self.linear, self.then);
        let (rows, panels) = (self.rows.clone(), self.panels.clone());
        run(cpu, Block { linear, source: &own, y: &Shared::new(sums), rows, panels, then });
        run(cpu, Copy { task: self, sums, back: true });
        let mut scratch = Scratch::take();
        scratch.sums = words;
        scratch.give_back();
    }
}

/// From the output to the sums, or back.
struct Copy<'a> {
    task: &'a Narrow<'a>,
    sums: &'a mut [f32],
    back: bool,
}

impl Work for Copy<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let Narrow { linear, source, y, rows, panels, .. } = self.task;
        let width = linear.outputs;
        let columns = panels.start * S::TILE_COLUMNS..(panels.end * S::TILE_COLUMNS).min(width);
        for (row, sums) in rows.clone().zip(self.sums.chunks_exact_mut(width)) {
            let target = source.target(row) * width;
            for at in columns.clone().step_by(S::LANES) {
                let end = (at + S::LANES).min(columns.end);
                // SAFETY: tasks share neither rows of the source, which have targets of their own, nor panels.
                let y = unsafe { y.part(target + at..target + end) };
                if self.back {
                    bf16::store(simd, f32::load(simd, &sums[at..end]), y);
                } else {
                    f32::store(simd, bf16::load(simd, y), &mut sums[at..end]);
                }
            }
        }
    }
}
