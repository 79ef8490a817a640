//! Rows into words, as products read them.

use std::ops::Range;

use half::bf16;

use super::{Linear, Precision, Source};
use crate::{
    memory::{bytes_mut, halves_mut},
    simd::{BLOCK_STEPS, Simd},
    value::Lanes,
};

/// Values that are read of a row at once, at most.
pub(super) const VALUES: usize = BLOCK_STEPS * 4;

/// How a row's bytes are to be read: `value = offset + scale * byte`.
#[derive(Clone, Copy)]
pub(super) struct Quantised {
    pub(super) scale: f32,
    pub(super) offset: f32,
}

impl Quantised {
    /// Bytes are the values.
    pub(super) const NOT: Self = Self { scale: 1.0, offset: 0.0 };
}

/// From a source to a layer's products.
pub(super) struct Stage<'a> {
    pub(super) linear: &'a Linear,
    pub(super) source: &'a dyn Source,
}

impl Stage<'_> {
    /// The scale and offset that bring a row's smallest value to 0 and its largest to 255, where the layer wants bytes and the
    /// source has none. `buffer` has room for [`VALUES`].
    #[inline(always)]
    pub(super) fn range<S: Simd>(&self, simd: S, row: usize, buffer: &mut [f32]) -> Quantised {
        if self.linear.precision != Precision::Int8 || self.source.is_bytes() {
            return Quantised::NOT;
        }
        let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
        let mut start = 0;
        while start < self.linear.inputs {
            let end = (start + VALUES).min(self.linear.inputs);
            let (low, high) = match self.source.halves(row, start..end) {
                Some(values) => extremes(simd, values),
                None => extremes(simd, self.source.read(row, start..end, buffer)),
            };
            (least, most) = (least.min(low), most.max(high));
            start = end;
        }
        Quantised { scale: (most - least) * (1.0 / 255.0), offset: least }
    }

    /// Writes a row's `steps`, at most [`VALUES`] values, as so many words. `buffer` has room for the values.
    #[inline(always)]
    pub(super) fn words<S: Simd>(
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
        if let Some(values) = self.source.halves(row, range.clone()) {
            match self.linear.precision {
                Precision::F32 => {}
                Precision::Bf16 => {
                    let (to, rest) = halves_mut(staged).split_at_mut(values.len());
                    to.copy_from_slice(values);
                    return rest.fill(bf16::ZERO);
                }
                Precision::Int8 => return quantise(simd, values, quantised, bytes_mut(staged)),
            }
        }
        let values = self.source.read(row, range, buffer);
        match self.linear.precision {
            Precision::F32 => {
                let (to, rest) = staged.split_at_mut(values.len());
                to.copy_from_slice(values);
                rest.fill(0.0);
            }
            Precision::Bf16 => {
                let to = halves_mut(staged);
                let whole = values.len() / S::LANES * S::LANES;
                for (from, to) in values.chunks_exact(S::LANES).zip(to.chunks_exact_mut(S::LANES)) {
                    simd.store_bf16(simd.load(from), to);
                }
                let mut last = [bf16::ZERO; 64];
                simd.store_bf16(simd.load_part(&values[whole..]), &mut last);
                let rest = &mut to[whole..];
                rest.copy_from_slice(&last[..rest.len()]);
            }
            Precision::Int8 => quantise(simd, values, quantised, bytes_mut(staged)),
        }
    }
}

/// The smallest and the largest.
#[inline(always)]
fn extremes<S: Simd, T: Lanes>(simd: S, values: &[T]) -> (f32, f32) {
    let chunks = values.chunks_exact(S::LANES);
    let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
    for x in chunks.remainder() {
        (least, most) = (least.min(x.wide()), most.max(x.wide()));
    }
    let mut mosts = simd.splat(f32::NEG_INFINITY);
    let mut leasts = mosts;
    for chunk in chunks {
        let x = T::load(simd, chunk);
        mosts = simd.max(mosts, x);
        leasts = simd.max(leasts, simd.sub(simd.splat(0.0), x));
    }
    (least.min(-simd.largest(leasts)), most.max(simd.largest(mosts)))
}

/// As bytes. Those beyond the values meet weights of zero.
#[inline(always)]
fn quantise<S: Simd, T: Lanes>(simd: S, values: &[T], quantised: Quantised, to: &mut [u8]) {
    let whole = values.len() / S::LANES * S::LANES;
    let inverse = simd.splat(if quantised.scale > 0.0 { 1.0 / quantised.scale } else { 0.0 });
    let offset = simd.splat(quantised.offset);
    for (from, to) in values.chunks_exact(S::LANES).zip(to.chunks_exact_mut(S::LANES)) {
        simd.store_u8(simd.mul(simd.sub(T::load(simd, from), offset), inverse), to);
    }
    let mut last = [0; 64];
    simd.store_u8(simd.mul(simd.sub(T::load(simd, &values[whole..]), offset), inverse), &mut last);
    let rest = &mut to[whole..];
    rest.copy_from_slice(&last[..rest.len()]);
}
