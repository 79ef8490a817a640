//! AVX2 and FMA.

use std::arch::x86_64::{
    __m256, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0, _MM_HINT_T1, _mm_add_ps, _mm_add_ss,
    _mm_cvtss_f32, _mm_loadu_si128, _mm_max_ps, _mm_max_ss, _mm_movehl_ps, _mm_prefetch, _mm_shuffle_ps,
    _mm256_add_epi32, _mm256_add_ps, _mm256_and_ps, _mm256_and_si256, _mm256_andnot_ps, _mm256_blendv_ps,
    _mm256_castps_si256, _mm256_castps256_ps128, _mm256_castsi256_ps, _mm256_cvtepi32_ps, _mm256_cvtepu16_epi32,
    _mm256_cvtps_epi32, _mm256_div_ps, _mm256_extractf128_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_madd_epi16,
    _mm256_max_ps, _mm256_min_ps, _mm256_mul_ps, _mm256_or_ps, _mm256_permute2f128_ps, _mm256_round_ps,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_shuffle_ps, _mm256_slli_epi16,
    _mm256_slli_epi32, _mm256_srai_epi16, _mm256_srli_epi16, _mm256_srli_epi32, _mm256_storeu_ps, _mm256_sub_ps,
    _mm256_unpackhi_ps, _mm256_unpacklo_ps,
};

use half::bf16;

use super::{
    Dot, Simd, Work,
    tile::{Ahead, tile},
};

const LANES: usize = 8;

/// AVX2 and FMA. Made only by [`run`].
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

/// # Safety
/// The machine has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run<W: Work>(work: W) -> W::Output {
    work.with(Avx2(()))
}

/// An intrinsic on registers.
macro_rules! op {
    ($call:expr) => {
        // SAFETY: it touches no memory, and a value of the type exists only where the instructions do.
        unsafe { $call }
    };
}

impl Simd for Avx2 {
    type F = __m256;
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 6;
    const TILE_COLUMNS: usize = 2 * LANES;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        op!(_mm256_set1_ps(x))
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> __m256 {
        // SAFETY: the slice has so many, or it would panic here.
        unsafe { _mm256_loadu_ps(from[..LANES].as_ptr()) }
    }
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> __m256 {
        let mut all = [0.0; LANES];
        all[..from.len()].copy_from_slice(from);
        self.load(&all)
    }
    #[inline(always)]
    fn load_bf16(self, from: &[bf16]) -> __m256 {
        // SAFETY: the slice has so many, or it would panic here.
        let halves = unsafe { _mm_loadu_si128(from[..LANES].as_ptr().cast()) };
        op!(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves))))
    }
    #[inline(always)]
    fn store(self, x: __m256, to: &mut [f32]) {
        // SAFETY: the slice has so many, or it would panic here.
        unsafe { _mm256_storeu_ps(to[..LANES].as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn store_part(self, x: __m256, to: &mut [f32]) {
        let mut all = [0.0; LANES];
        self.store(x, &mut all);
        to.copy_from_slice(&all[..to.len()]);
    }
    #[inline(always)]
    fn store_bf16(self, x: __m256, to: &mut [bf16]) {
        let mut all = [0.0; LANES];
        self.store(x, &mut all);
        for (to, x) in to[..LANES].iter_mut().zip(all) {
            *to = bf16::from_f32(x);
        }
    }
    #[inline(always)]
    fn store_u8(self, x: __m256, to: &mut [u8]) {
        let mut all = [0.0; LANES];
        self.store(op!(_mm256_castsi256_ps(_mm256_cvtps_epi32(x))), &mut all);
        for (to, x) in to[..LANES].iter_mut().zip(all) {
            *to = (x.to_bits() as i32).clamp(0, 255) as u8;
        }
    }
    #[inline(always)]
    fn pair(self, low: __m256, high: __m256) -> __m256 {
        op!({
            let low = _mm256_srli_epi32::<16>(_mm256_castps_si256(low));
            _mm256_or_ps(_mm256_castsi256_ps(low), high)
        })
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        op!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn round(self, x: __m256) -> __m256 {
        op!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x))
    }
    #[inline(always)]
    fn abs(self, x: __m256) -> __m256 {
        op!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), x))
    }
    #[inline(always)]
    fn reciprocal(self, x: __m256) -> __m256 {
        op!(_mm256_div_ps(_mm256_set1_ps(1.0), x))
    }
    #[inline(always)]
    fn scale(self, x: __m256, n: __m256) -> __m256 {
        op!({
            let exponent = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)));
            _mm256_mul_ps(x, _mm256_castsi256_ps(exponent))
        })
    }
    #[inline(always)]
    fn where_negative(self, x: __m256, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_blendv_ps(b, a, x))
    }
    #[inline(always)]
    fn whole_number(self, x: __m256) -> __m256 {
        op!(_mm256_cvtepi32_ps(_mm256_castps_si256(x)))
    }
    #[inline(always)]
    fn sum(self, x: __m256) -> f32 {
        op!({
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_shuffle_ps::<1>(x, x)))
        })
    }
    #[inline(always)]
    fn largest(self, x: __m256) -> f32 {
        op!({
            let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_max_ss(x, _mm_shuffle_ps::<1>(x, x)))
        })
    }
    #[inline(always)]
    fn dot_f32(self, acc: __m256, a: __m256, b: __m256) -> __m256 {
        op!(_mm256_fmadd_ps(a, b, acc))
    }
    #[inline(always)]
    fn dot_bf16(self, acc: __m256, a: __m256, b: __m256) -> __m256 {
        // An f32 whose lower half is zero is a bf16's upper half.
        let low = |x: __m256| op!(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(x))));
        let high = |x: __m256| op!(_mm256_and_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0xffff_0000_u32 as i32))));
        op!(_mm256_fmadd_ps(high(a), high(b), _mm256_fmadd_ps(low(a), low(b), acc)))
    }
    #[inline(always)]
    fn dot_i8(self, acc: __m256, a: __m256, b: __m256) -> __m256 {
        // Bytes 0 and 2, then 1 and 3, as 16-bit numbers. Multiplying bytes directly would cut sums at 32767.
        op!({
            let (acc, a, b) = (_mm256_castps_si256(acc), _mm256_castps_si256(a), _mm256_castps_si256(b));
            let even = _mm256_madd_epi16(
                _mm256_and_si256(a, _mm256_set1_epi16(0xff)),
                _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b)),
            );
            let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(a), _mm256_srai_epi16::<8>(b));
            _mm256_castsi256_ps(_mm256_add_epi32(acc, _mm256_add_epi32(even, odd)))
        })
    }
    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> __m256 {
        // SAFETY: the caller says that so many can be read.
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn splat_at(self, from: *const f32) -> __m256 {
        // SAFETY: the caller says that it can be read.
        unsafe { _mm256_set1_ps(*from) }
    }
    #[inline(always)]
    fn prefetch(self, at: *const f32) {
        // SAFETY: a prefetch reads nothing that could fail.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
    #[inline(always)]
    fn prefetch_far(self, at: *const f32) {
        // SAFETY: a prefetch reads nothing that could fail.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }
    #[inline(always)]
    fn transpose(self, from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
        // SAFETY: a value of the type exists only where the instructions do.
        unsafe { transpose(from, from_stride, to, to_stride) }
    }
    #[inline(always)]
    fn tile<D: Dot>(self, a: &[f32], b: &[f32], steps: usize, ahead: Ahead, out: &mut [f32], stride: usize) {
        tile::<Self, D, 6, 2>(self, a, b, steps, ahead, out, stride);
    }
}

/// See [`Simd::transpose`].
///
/// # Safety
/// The machine has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn transpose(from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
    assert!(from.len() >= 7 * from_stride + LANES && to.len() >= 7 * to_stride + LANES);
    let (from, to) = (from.as_ptr(), to.as_mut_ptr());
    // SAFETY: 8 words of the row are within the slice, as just checked.
    let row = |i: usize| unsafe { _mm256_loadu_ps(from.wrapping_add(i * from_stride)) };
    let mut fours = [_mm256_setzero_ps(); LANES];
    for four in 0..2 {
        let (a, b, c, d) = (row(4 * four), row(4 * four + 1), row(4 * four + 2), row(4 * four + 3));
        let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
        let (above, below) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
        // In the lower half, word i of these four rows, and in the upper one word 4 + i.
        fours[2 * four] = _mm256_shuffle_ps::<0x44>(ab, cd);
        fours[2 * four + 1] = _mm256_shuffle_ps::<0xee>(ab, cd);
        fours[4 + 2 * four] = _mm256_shuffle_ps::<0x44>(above, below);
        fours[4 + 2 * four + 1] = _mm256_shuffle_ps::<0xee>(above, below);
    }
    for i in 0..4 {
        let (first, second) = (fours[4 * (i / 2) + i % 2], fours[4 * (i / 2) + 2 + i % 2]);
        let low = _mm256_permute2f128_ps::<0x20>(first, second);
        let high = _mm256_permute2f128_ps::<0x31>(first, second);
        // SAFETY: 8 words of the row are within the slice, as checked above.
        unsafe { _mm256_storeu_ps(to.wrapping_add(i * to_stride), low) };
        // SAFETY: as above.
        unsafe { _mm256_storeu_ps(to.wrapping_add((4 + i) * to_stride), high) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Level};

    #[test]
    fn rows_become_columns() {
        if !Cpu::available().iter().any(|cpu| cpu.level() == Level::Avx2) {
            return;
        }
        let from: Vec<f32> = (0..8 * 20).map(|i| i as f32).collect();
        let mut to = vec![0.0; 8 * 11];
        // SAFETY: the machine has AVX2, as just asked.
        unsafe { transpose(&from, 20, &mut to, 11) };
        for i in 0..8 {
            for j in 0..8 {
                assert_eq!(to[i * 11 + j], from[j * 20 + i]);
            }
        }
    }
}
