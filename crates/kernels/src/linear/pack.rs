//! Weights into the order in which products read them.

use super::{Geometry, Linear, Precision};
use crate::{
    Cpu,
    memory::{Words, bytes_mut, halves_mut},
    simd::{Simd, Work},
};

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

impl Work for Pack<'_> {
    type Output = Linear;

    #[inline(always)]
    fn with<S: Simd>(self, _: S) -> Linear {
        let geometry = Geometry::new::<S>(self.cpu, self.precision, self.inputs, self.outputs);
        self.pack(geometry)
    }
}

impl Pack<'_> {
    fn pack(self, geometry: Geometry) -> Linear {
        let columns = geometry.panels * geometry.columns;
        let mut words = Words::zeroed(geometry.steps * columns);
        let packed = words.as_mut_slice();
        let (mut scales, mut sums) = (Vec::new(), Vec::new());
        match self.precision {
            Precision::F32 => self.place(geometry, packed, |_, x| x),
            Precision::Bf16 => {
                self.place(geometry, halves_mut(packed), |_, x| half::bf16::from_f32(x));
            }
            Precision::Int8 => {
                scales = self.weights.chunks_exact(self.inputs).map(scale).collect();
                sums = vec![0.0; self.outputs];
                for ((sum, row), scale) in sums.iter_mut().zip(self.weights.chunks_exact(self.inputs)).zip(&scales) {
                    *sum = row.iter().map(|&x| i32::from(quantise(x, *scale))).sum::<i32>() as f32 * scale;
                }
                self.place(geometry, bytes_mut(packed), |output, x| quantise(x, scales[output]) as u8);
                scales.resize(columns, 0.0);
                sums.resize(columns, 0.0);
            }
        }
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

    /// Puts every weight in its place among `packed`, as `convert`, which is told the output, makes it.
    fn place<T>(&self, geometry: Geometry, packed: &mut [T], convert: impl Fn(usize, f32) -> T) {
        let per_word = self.precision.per_word();
        for block in 0..geometry.blocks() {
            let steps = geometry.steps_of(block);
            let inputs = steps.start * per_word..(steps.end * per_word).min(self.inputs);
            for panel in 0..geometry.panels {
                let range = geometry.panel(block, panel);
                let packed = &mut packed[range.start * per_word..range.end * per_word];
                let first = panel * geometry.columns;
                for column in 0..geometry.columns.min(self.outputs - first) {
                    let row = &self.weights[(first + column) * self.inputs..][inputs.clone()];
                    for (step, word) in row.chunks(per_word).enumerate() {
                        for (part, x) in word.iter().enumerate() {
                            packed[(step * geometry.columns + column) * per_word + part] = convert(first + column, *x);
                        }
                    }
                }
            }
        }
    }
}

/// What turns bytes between -127 and 127 into a row's weights.
fn scale(row: &[f32]) -> f32 {
    row.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 127.0
}

fn quantise(x: f32, scale: f32) -> i8 {
    // A row of zeros has the scale 0. `as` cuts at the ends and makes a NaN 0.
    if scale > 0.0 { (x / scale).round_ties_even() as i8 } else { 0 }
}
