//! Rows of scores into shares.

use crate::{
    Cpu, Error,
    error::check,
    math::exp,
    simd::{Simd, Work, run},
};

/// Replaces every row of `width` scores by shares: `e` to its scores, divided by their sum.
///
/// ```
/// # use imbed_kernels::{Cpu, softmax};
/// let mut rows = [0.0, 0.0, 1000.0, 0.0];
/// softmax(Cpu::detect()?, &mut rows, 2)?;
/// assert_eq!(rows[..3], [0.5, 0.5, 1.0]);
/// # Ok::<(), imbed_kernels::Error>(())
/// ```
pub fn softmax(cpu: Cpu, rows: &mut [f32], width: usize) -> Result<(), Error> {
    check(width > 0, "a row has scores")?;
    check(rows.len().is_multiple_of(width), "scores are whole rows")?;
    run(cpu, Softmax { rows, width });
    Ok(())
}

struct Softmax<'a> {
    rows: &'a mut [f32],
    width: usize,
}

impl Work for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        for row in self.rows.chunks_exact_mut(self.width) {
            let most = largest(simd, row);
            let sum = exp_row(simd, row, most);
            scale_row(simd, row, 1.0 / sum);
        }
    }
}

/// The largest of a row.
#[inline(always)]
pub(crate) fn largest<S: Simd>(simd: S, row: &[f32]) -> f32 {
    let chunks = row.chunks_exact(S::LANES);
    let mut most = f32::NEG_INFINITY;
    for x in chunks.remainder() {
        most = most.max(*x);
    }
    let mut mosts = simd.splat(f32::NEG_INFINITY);
    for chunk in chunks {
        mosts = simd.max(mosts, simd.load(chunk));
    }
    most.max(simd.largest(mosts))
}

/// Replaces each x of a row by `e` to the power of `x - most`, and returns the sum. Less than `e⁻⁸⁷` stays that much.
#[inline(always)]
pub(crate) fn exp_row<S: Simd>(simd: S, row: &mut [f32], most: f32) -> f32 {
    let most = simd.splat(most);
    let mut sums = simd.splat(0.0);
    let mut chunks = row.chunks_exact_mut(S::LANES);
    for chunk in &mut chunks {
        let e = exp(simd, simd.sub(simd.load(chunk), most));
        sums = simd.add(sums, e);
        simd.store(e, chunk);
    }
    let mut sum = simd.sum(sums);
    let rest = chunks.into_remainder();
    if !rest.is_empty() {
        simd.store_part(exp(simd, simd.sub(simd.load_part(rest), most)), rest);
        for x in rest {
            sum += *x;
        }
    }
    sum
}

/// Multiplies a row.
#[inline(always)]
pub(crate) fn scale_row<S: Simd>(simd: S, row: &mut [f32], factor: f32) {
    let factors = simd.splat(factor);
    let mut chunks = row.chunks_exact_mut(S::LANES);
    for chunk in &mut chunks {
        simd.store(simd.mul(simd.load(chunk), factors), chunk);
    }
    for x in chunks.into_remainder() {
        *x *= factor;
    }
}

/// Writes a row's multiple to another of the same length.
#[inline(always)]
pub(crate) fn scale_into<S: Simd>(simd: S, row: &[f32], factor: f32, to: &mut [f32]) {
    assert_eq!(row.len(), to.len());
    let factors = simd.splat(factor);
    let (mut from, mut into) = (row.chunks_exact(S::LANES), to.chunks_exact_mut(S::LANES));
    for (from, into) in (&mut from).zip(&mut into) {
        simd.store(simd.mul(simd.load(from), factors), into);
    }
    for (from, into) in from.remainder().iter().zip(into.into_remainder()) {
        *into = from * factor;
    }
}
