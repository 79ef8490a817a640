//! Rows brought to one size.

use crate::{
    Cpu, Error,
    error::{check, check_length},
    simd::{Simd, Work, load_up_to, run},
    value::{Lanes, Value, ValuesMut},
};

/// `y = (x - mean) / √(variance + epsilon) · gain + bias` for each row of `gain.len()` values.
///
/// ```
/// # use imbed_kernels::{Cpu, layer_norm};
/// let mut y = [0.0; 2];
/// layer_norm(Cpu::detect()?, &[1.0, 3.0], &[1.0, 10.0], &[0.0, 5.0], 0.0, &mut y)?;
/// assert_eq!(y, [-1.0, 15.0]);
/// # Ok::<(), imbed_kernels::Error>(())
/// ```
pub fn layer_norm(cpu: Cpu, x: &[f32], gain: &[f32], bias: &[f32], epsilon: f32, y: &mut [f32]) -> Result<(), Error> {
    check_length("bias", gain.len(), bias.len())?;
    norm(cpu, x, gain, Some(bias), epsilon, y)
}

/// `y = x / √(mean of squares + epsilon) · gain` for each row of `gain.len()` values.
pub fn rms_norm(cpu: Cpu, x: &[f32], gain: &[f32], epsilon: f32, y: &mut [f32]) -> Result<(), Error> {
    norm(cpu, x, gain, None, epsilon, y)
}

/// As [`layer_norm`], with results in f32 or bf16: the latter as rows of the next product.
pub fn layer_norm_mixed<Y: Value>(
    cpu: Cpu,
    x: &[f32],
    gain: &[f32],
    bias: &[f32],
    epsilon: f32,
    y: &mut [Y],
) -> Result<(), Error> {
    check_length("bias", gain.len(), bias.len())?;
    norm(cpu, x, gain, Some(bias), epsilon, y)
}

/// As [`rms_norm`], with results in f32 or bf16.
pub fn rms_norm_mixed<Y: Value>(cpu: Cpu, x: &[f32], gain: &[f32], epsilon: f32, y: &mut [Y]) -> Result<(), Error> {
    norm(cpu, x, gain, None, epsilon, y)
}

fn norm<Y: Value>(
    cpu: Cpu,
    x: &[f32],
    gain: &[f32],
    bias: Option<&[f32]>,
    epsilon: f32,
    y: &mut [Y],
) -> Result<(), Error> {
    check(!gain.is_empty(), "a row has values")?;
    check(x.len().is_multiple_of(gain.len()), "the input is whole rows")?;
    check_length("output", x.len(), y.len())?;
    match Y::values_mut(y) {
        ValuesMut::F32(y) => run(cpu, Norm { x, gain, bias, epsilon, y }),
        ValuesMut::Bf16(y) => run(cpu, Norm { x, gain, bias, epsilon, y }),
    }
    Ok(())
}

struct Norm<'a, Y> {
    x: &'a [f32],
    gain: &'a [f32],
    /// None where no mean is taken away either.
    bias: Option<&'a [f32]>,
    epsilon: f32,
    y: &'a mut [Y],
}

impl<Y: Lanes> Work for Norm<'_, Y> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let width = self.gain.len();
        for (x, y) in self.x.chunks_exact(width).zip(self.y.chunks_exact_mut(width)) {
            let mean = if self.bias.is_some() { sum(simd, x) / width as f32 } else { 0.0 };
            let squares = squares(simd, x, mean) / width as f32;
            let factor = simd.splat(1.0 / (squares + self.epsilon).sqrt());
            let mean = simd.splat(mean);
            let mut start = 0;
            while start < width {
                let range = start..(start + S::LANES).min(width);
                let distance = simd.sub(load_up_to(simd, &x[range.clone()]), mean);
                let mut value = simd.mul(simd.mul(distance, factor), load_up_to(simd, &self.gain[range.clone()]));
                if let Some(bias) = self.bias {
                    value = simd.add(value, load_up_to(simd, &bias[range.clone()]));
                }
                Y::store(simd, value, &mut y[range]);
                start += S::LANES;
            }
        }
    }
}

/// Sums that are in flight at once, as an addition takes four times as long as it keeps its unit busy.
const CHAINS: usize = 4;

#[inline(always)]
fn sum<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let mut totals = [simd.splat(0.0); CHAINS];
    let mut groups = row.chunks_exact(CHAINS * S::LANES);
    for group in &mut groups {
        for (total, chunk) in totals.iter_mut().zip(group.chunks_exact(S::LANES)) {
            *total = simd.add(*total, simd.load(chunk));
        }
    }
    for (total, chunk) in totals.iter_mut().zip(groups.remainder().chunks(S::LANES)) {
        *total = simd.add(*total, load_up_to(simd, chunk));
    }
    simd.sum(all(simd, totals))
}

/// The sum of squared distances from `mean`.
#[inline(always)]
fn squares<S: Simd>(simd: S, row: &[f32], mean: f32) -> f32 {
    let mut totals = [simd.splat(0.0); CHAINS];
    let means = simd.splat(mean);
    let mut groups = row.chunks_exact(CHAINS * S::LANES);
    for group in &mut groups {
        for (total, chunk) in totals.iter_mut().zip(group.chunks_exact(S::LANES)) {
            let distance = simd.sub(simd.load(chunk), means);
            *total = simd.mul_add(distance, distance, *total);
        }
    }
    let chunks = groups.remainder().chunks_exact(S::LANES);
    let mut rest = 0.0;
    for x in chunks.remainder() {
        rest += (x - mean) * (x - mean);
    }
    for (total, chunk) in totals.iter_mut().zip(chunks) {
        let distance = simd.sub(simd.load(chunk), means);
        *total = simd.mul_add(distance, distance, *total);
    }
    simd.sum(all(simd, totals)) + rest
}

#[inline(always)]
fn all<S: Simd>(simd: S, totals: [S::F; CHAINS]) -> S::F {
    simd.add(simd.add(totals[0], totals[1]), simd.add(totals[2], totals[3]))
}
