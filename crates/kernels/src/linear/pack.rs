//! Weights into the order in which products read them.

use std::ops::Range;

use half::bf16;

use super::{Geometry, Linear, Precision};
use crate::{
    Cpu, Pool,
    memory::{Shared, Words, bytes_mut, halves_mut},
    pool::run_once,
    simd::{Simd, Work, load_up_to, run},
};

/// Words of a panel's part that is converted and turned at once, at most: 32 columns of 16.
const PART: usize = 32 * 16;

/// See [`Linear::pack`], which has checked the sizes.
pub(super) struct Pack<'a> {
    pub(super) cpu: Cpu,
    pub(super) precision: Precision,
    pub(super) weights: &'a [f32],
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Empty for none.
    pub(super) bias: &'a [f32],
}

impl Pack<'_> {
    pub(super) fn run(&self, pool: &dyn Pool) -> Linear {
        let geometry = run(self.cpu, Shape { of: self });
        let columns = geometry.panels * geometry.columns;
        let mut words = Words::zeroed(geometry.steps * columns);
        let bytes = self.precision == Precision::Int8;
        let mut scales = vec![0.0; if bytes { columns } else { 0 }];
        let mut sums = scales.clone();
        let places = Places {
            words: Shared::new(words.as_mut_slice()),
            scales: Shared::new(&mut scales),
            sums: Shared::new(&mut sums),
        };
        // Some more than there are workers, as these may be late.
        let tasks = (pool.workers().max(1) * 4).min(geometry.panels);
        run_once(pool, tasks, |task| {
            let panels = super::share(geometry.panels, tasks, task);
            run(self.cpu, Task { of: self, geometry, places: &places, panels });
        });
        let mut bias = self.bias.to_vec();
        bias.resize(columns, 0.0);
        Linear {
            cpu: self.cpu,
            precision: self.precision,
            inputs: self.inputs,
            outputs: self.outputs,
            geometry,
            words,
            bias,
            scales,
            sums,
        }
    }
}

/// How a level cuts the product.
struct Shape<'a> {
    of: &'a Pack<'a>,
}

impl Work for Shape<'_> {
    type Output = Geometry;

    #[inline(always)]
    fn with<S: Simd>(self, _: S) -> Geometry {
        Geometry::new::<S>(self.of.cpu, self.of.precision, self.of.inputs, self.of.outputs)
    }
}

/// What is written.
struct Places<'a> {
    words: Shared<'a>,
    scales: Shared<'a>,
    sums: Shared<'a>,
}

/// Some of the panels.
struct Task<'a> {
    of: &'a Pack<'a>,
    geometry: Geometry,
    places: &'a Places<'a>,
    panels: Range<usize>,
}

impl Work for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let bytes = self.of.precision == Precision::Int8;
        for panel in self.panels.clone() {
            let first = panel * S::TILE_COLUMNS;
            let outputs = first..(first + S::TILE_COLUMNS).min(self.of.outputs);
            let mut scales = [0.0; 32];
            let mut sums = [0.0; 32];
            if bytes {
                for (scale, output) in scales.iter_mut().zip(outputs.clone()) {
                    *scale = scale_of(simd, self.row(output));
                }
            }
            for block in 0..self.geometry.blocks() {
                // SAFETY: no two tasks have a panel in common, and none is kept.
                let packed = unsafe { self.places.words.part(self.geometry.panel(block, panel)) };
                self.pack(simd, outputs.clone(), self.geometry.steps_of(block), packed, &scales, &mut sums);
            }
            if bytes {
                // SAFETY: as above.
                let (all_scales, all_sums) =
                    unsafe { (self.places.scales.part(outputs.clone()), self.places.sums.part(outputs.clone())) };
                for (i, (scale, sum)) in all_scales.iter_mut().zip(all_sums).enumerate() {
                    (*scale, *sum) = (scales[i], sums[i] * scales[i]);
                }
            }
        }
    }
}

impl Task<'_> {
    #[inline(always)]
    fn row(&self, output: usize) -> &[f32] {
        &self.of.weights[output * self.of.inputs..][..self.of.inputs]
    }

    /// Some steps of a panel. Sums of what was rounded to bytes are added to `sums`.
    #[inline(always)]
    fn pack<S: Simd>(
        &self,
        simd: S,
        outputs: Range<usize>,
        steps: Range<usize>,
        packed: &mut [f32],
        scales: &[f32; 32],
        sums: &mut [f32; 32],
    ) {
        let (mut rows, mut turned) = ([0.0; PART], [0.0; PART]);
        let (rows, turned) = (&mut rows[..S::TILE_COLUMNS * S::LANES], &mut turned[..S::LANES * S::TILE_COLUMNS]);
        let per_word = self.of.precision.per_word();
        for (part, packed) in packed.chunks_mut(S::LANES * S::TILE_COLUMNS).enumerate() {
            let start = ((steps.start + part * S::LANES) * per_word).min(self.of.inputs);
            let end = ((steps.start + part * S::LANES + packed.len() / S::TILE_COLUMNS) * per_word).min(self.of.inputs);
            for (i, output) in outputs.clone().enumerate() {
                let (from, to) = (&self.row(output)[start..end], &mut rows[i * S::LANES..][..S::LANES]);
                match self.of.precision {
                    Precision::F32 => {
                        to[..from.len()].copy_from_slice(from);
                        to[from.len()..].fill(0.0);
                    }
                    Precision::Bf16 => halves(simd, from, halves_mut(to)),
                    Precision::Int8 => sums[i] += bytes(simd, from, scales[i], bytes_mut(to)),
                }
            }
            // Columns beyond the last output keep what they have: nobody reads their sums.
            for at in (0..S::TILE_COLUMNS).step_by(S::LANES) {
                simd.transpose(&rows[at * S::LANES..], S::LANES, &mut turned[at..], S::TILE_COLUMNS);
            }
            packed.copy_from_slice(&turned[..packed.len()]);
        }
    }
}

/// As bf16, and zeros.
#[inline(always)]
fn halves<S: Simd>(simd: S, from: &[f32], to: &mut [bf16]) {
    for (i, to) in to.chunks_exact_mut(S::LANES).enumerate() {
        let from = &from[(i * S::LANES).min(from.len())..((i + 1) * S::LANES).min(from.len())];
        simd.store_bf16(load_up_to(simd, from), to);
    }
}

/// As bytes of a scale, signed, and zeros. Returns the sum of them.
#[inline(always)]
fn bytes<S: Simd>(simd: S, from: &[f32], scale: f32, to: &mut [u8]) -> f32 {
    // A row of zeros has the scale 0.
    let inverse = simd.splat(if scale > 0.0 { 1.0 / scale } else { 0.0 });
    let mut sum = simd.splat(0.0);
    for (i, to) in to.chunks_exact_mut(S::LANES).enumerate() {
        let from = &from[(i * S::LANES).min(from.len())..((i + 1) * S::LANES).min(from.len())];
        let whole = simd.round(simd.mul(load_up_to(simd, from), inverse));
        sum = simd.add(sum, whole);
        simd.store_u8(simd.add(whole, simd.splat(128.0)), to);
        for to in to {
            *to ^= 0x80;
        }
    }
    simd.sum(sum)
}

/// What turns bytes between -127 and 127 into a row's weights.
#[inline(always)]
fn scale_of<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let mut most = simd.splat(0.0);
    for x in row.chunks(S::LANES) {
        most = simd.max(most, simd.abs(load_up_to(simd, x)));
    }
    simd.largest(most) / 127.0
}
