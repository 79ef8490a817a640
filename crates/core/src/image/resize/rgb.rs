//! Rows of RGB pixels filtered with AVX2.
//!
//! A weight of 23 bits does not fit the 16 that its multiply-and-add takes, so it goes in as two numbers, `high * 2048 + low`.
//! All sums are whole numbers, and come out as those of the simple way, beside which `bytes` tests them.

use std::arch::x86_64::{__m128i, __m256i};

use pulp::{NullaryFnOnce, cast, x86::V3};

use super::{
    bytes::{HALF, View},
    coefficients::{Axis, PRECISION_BITS},
};

/// Pixels that one step sums, and the bytes that it loads: those of the pixels and some that weigh nothing.
const STEP: usize = 4;
const LOADED: usize = 16;

/// Rows that share a load of the weights.
const ROWS: usize = 4;

const LOW_BITS: u32 = 11;

/// The places of a step's samples: red, green and blue of two pixels side by side in each half, widened by zeros.
const PLACES: [i8; 32] = [
    0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, //
    6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1,
];

/// The weights of one step, in those places.
#[derive(Debug, Clone, Copy)]
struct Weights {
    high: [i16; 16],
    low: [i16; 16],
}

impl Weights {
    fn new(weights: &[i32]) -> Self {
        let weight = |lane: usize| {
            let pixel = lane / 8 * 2 + lane % 2;
            if lane % 8 < 6 { weights.get(pixel).copied().unwrap_or(0) } else { 0 }
        };
        Self {
            high: std::array::from_fn(|lane| (weight(lane) >> LOW_BITS) as i16),
            low: std::array::from_fn(|lane| (weight(lane) & ((1 << LOW_BITS) - 1)) as i16),
        }
    }
}

/// Filters each row along itself, if the processor has AVX2; says whether it did.
pub(super) fn filter_across(from: &View<'_>, to: &mut [u8], to_stride: usize, axis: &Axis<i32>) -> bool {
    let Some(simd) = V3::try_new() else { return false };
    let mut steps = Vec::new();
    let outputs = axis
        .taps()
        .map(|(sources, weights)| {
            steps.extend(weights.chunks(STEP).map(Weights::new));
            (sources.start * 3, steps.len())
        })
        .collect::<Vec<_>>();
    simd.vectorize(Across { simd, from, to, to_stride, steps: &steps, outputs: &outputs });
    true
}

struct Across<'a> {
    simd: V3,
    from: &'a View<'a>,
    to: &'a mut [u8],
    to_stride: usize,
    steps: &'a [Weights],
    /// Where each output's first sample is, and where its steps end.
    outputs: &'a [(usize, usize)],
}

impl NullaryFnOnce for Across<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, from, to, to_stride, steps, outputs } = self;
        // The last step of a row reads past its end: into the next row, or into zeros after the last.
        let length = from.columns.len() + LOADED;
        let mut padded: [Vec<u8>; ROWS] = Default::default();
        for (block, to) in to.chunks_mut(to_stride * ROWS).enumerate() {
            let rows = padded.each_mut();
            let mut number = from.rows.start + block * ROWS;
            let rows = rows.map(|padded| {
                // Of the last block, whose rows may be fewer, the last row again; nobody looks at it.
                let row = number.min(from.rows.end - 1);
                number += 1;
                let samples = &from.samples[row * from.stride + from.columns.start..];
                samples.get(..length).unwrap_or_else(|| {
                    padded.clear();
                    padded.extend_from_slice(&samples[..from.columns.len()]);
                    padded.resize(length, 0);
                    padded
                })
            });
            let mut to = to.chunks_mut(to_stride).map(|row| row.as_chunks_mut::<3>().0);
            let to = std::array::from_fn(|_| to.next().unwrap_or_default());
            filter_rows(simd, rows, length, to, steps, outputs);
        }
    }
}

/// Rows are `length` bytes long. One of `to` that is not there is empty.
#[inline(always)]
fn filter_rows(
    simd: V3,
    [a, b, c, d]: [&[u8]; ROWS],
    length: usize,
    mut to: [&mut [[u8; 3]]; ROWS],
    steps: &[Weights],
    outputs: &[(usize, usize)],
) {
    let (avx, avx2) = (simd.avx, simd.avx2);
    let places: __m256i = cast(PLACES);
    // One by one, so that the compiler sees one length and tests once for all of them whether a step lies within.
    let from = [&a[..length], &b[..length], &c[..length], &d[..length]];
    let mut first = 0;
    for (output, &(start, end)) in outputs.iter().enumerate() {
        let mut high = [avx._mm256_setzero_si256(); ROWS];
        let mut low = high;
        for (step, weights) in steps[first..end].iter().enumerate() {
            let at = start + step * STEP * 3;
            for (row, (high, low)) in from.iter().zip(high.iter_mut().zip(&mut low)) {
                // Always there: the rows are as much longer.
                let loaded = row.get(at..).and_then(<[u8]>::first_chunk::<LOADED>).copied().unwrap_or_default();
                let samples = avx2._mm256_shuffle_epi8(avx2._mm256_broadcastsi128_si256(cast(loaded)), places);
                *high = avx2._mm256_add_epi32(*high, avx2._mm256_madd_epi16(samples, cast(weights.high)));
                *low = avx2._mm256_add_epi32(*low, avx2._mm256_madd_epi16(samples, cast(weights.low)));
            }
        }
        first = end;
        let mut sums = [simd.sse2._mm_setzero_si128(); ROWS];
        for (sums, (high, low)) in sums.iter_mut().zip(high.into_iter().zip(low)) {
            let both = avx2._mm256_add_epi32(avx2._mm256_slli_epi32::<{ LOW_BITS as i32 }>(high), low);
            *sums = simd.sse2._mm_add_epi32(avx._mm256_castsi256_si128(both), avx2._mm256_extracti128_si256::<1>(both));
        }
        for (pixel, row) in to_pixels(simd, sums).into_iter().zip(&mut to) {
            if let Some(out) = row.get_mut(output) {
                *out = pixel;
            }
        }
    }
}

/// Red, green and blue of a pixel of each row, from their sums.
#[inline(always)]
fn to_pixels(simd: V3, sums: [__m128i; ROWS]) -> [[u8; 3]; ROWS] {
    let sse2 = simd.sse2;
    let half = cast([HALF; 4]);
    let [a, b, c, d] =
        sums.map(|sums| sse2._mm_srai_epi32::<{ PRECISION_BITS as i32 }>(sse2._mm_add_epi32(sums, half)));
    let bytes: [[u8; 4]; ROWS] = cast(sse2._mm_packus_epi16(sse2._mm_packs_epi32(a, b), sse2._mm_packs_epi32(c, d)));
    bytes.map(|[red, green, blue, _]| [red, green, blue])
}
