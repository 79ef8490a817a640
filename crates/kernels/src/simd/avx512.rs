//! AVX-512. What a machine lacks beyond F, BW, DQ and VL is put together from those.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512, __m512bh, __m512i, _MM_FROUND_NO_EXC, _MM_FROUND_TO_NEAREST_INT, _MM_HINT_T0,
    _MM_HINT_T1, _mm_prefetch, _mm_storeu_si128, _mm256_loadu_si256, _mm256_storeu_si256, _mm512_abs_ps,
    _mm512_add_epi32, _mm512_add_ps, _mm512_and_si512, _mm512_castpd_ps, _mm512_castps_pd, _mm512_castps_si512,
    _mm512_castsi512_ps, _mm512_cmpunord_ps_mask, _mm512_cvtepi32_epi16, _mm512_cvtepi32_ps, _mm512_cvtepu16_epi32,
    _mm512_cvtneps_pbh, _mm512_cvtps_epi32, _mm512_cvtusepi32_epi8, _mm512_dpbf16_ps, _mm512_dpbusd_epi32,
    _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_loadu_ps, _mm512_madd_epi16, _mm512_mask_blend_ps, _mm512_mask_mov_epi32,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_max_epi32, _mm512_max_ps, _mm512_min_ps, _mm512_movepi32_mask,
    _mm512_mul_ps, _mm512_or_ps, _mm512_rcp14_ps, _mm512_reduce_add_ps, _mm512_reduce_max_ps, _mm512_roundscale_ps,
    _mm512_scalef_ps, _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_shuffle_f32x4, _mm512_slli_epi16, _mm512_slli_epi32, _mm512_srai_epi16, _mm512_srli_epi16,
    _mm512_srli_epi32, _mm512_storeu_ps, _mm512_sub_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd,
    _mm512_unpacklo_ps,
};
use std::mem::transmute;

use half::bf16;

use super::{
    Dot, Simd, Work,
    tile::{Ahead, tile},
};

const LANES: usize = 16;

/// AVX-512 F, BW, DQ and VL, perhaps with dot products of bytes and of bf16. Made only by the functions below.
#[derive(Clone, Copy)]
pub(super) struct Avx512<const VNNI: bool, const BF16: bool>(());

/// # Safety
/// The machine has AVX2, FMA and AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) unsafe fn run<W: Work>(work: W) -> W::Output {
    work.with(Avx512::<false, false>(()))
}

/// # Safety
/// As [`run`], and it has VNNI.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) unsafe fn run_vnni<W: Work>(work: W) -> W::Output {
    work.with(Avx512::<true, false>(()))
}

/// # Safety
/// As [`run_vnni`], and it has BF16.
#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
pub(super) unsafe fn run_bf16<W: Work>(work: W) -> W::Output {
    work.with(Avx512::<true, true>(()))
}

/// An intrinsic on registers.
macro_rules! op {
    ($call:expr) => {
        // SAFETY: it touches no memory, and a value of the type exists only where the instructions do.
        unsafe { $call }
    };
}

impl<const VNNI: bool, const BF16: bool> Simd for Avx512<VNNI, BF16> {
    type F = __m512;
    const LANES: usize = LANES;
    const TILE_ROWS: usize = 14;
    const TILE_COLUMNS: usize = 2 * LANES;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        op!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        // SAFETY: the slice has so many, or it would panic here.
        unsafe { _mm512_loadu_ps(from[..LANES].as_ptr()) }
    }
    #[inline(always)]
    fn load_part(self, from: &[f32]) -> __m512 {
        let from = &from[..from.len().min(LANES)];
        // SAFETY: only lanes that the slice has are read.
        unsafe { _mm512_maskz_loadu_ps(((1_u32 << from.len()) - 1) as u16, from.as_ptr()) }
    }
    #[inline(always)]
    fn load_bf16(self, from: &[bf16]) -> __m512 {
        // SAFETY: the slice has so many, or it would panic here.
        let halves = unsafe { _mm256_loadu_si256(from[..LANES].as_ptr().cast()) };
        op!(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves))))
    }
    #[inline(always)]
    fn store(self, x: __m512, to: &mut [f32]) {
        // SAFETY: the slice has so many, or it would panic here.
        unsafe { _mm512_storeu_ps(to[..LANES].as_mut_ptr(), x) }
    }
    #[inline(always)]
    fn store_part(self, x: __m512, to: &mut [f32]) {
        let lanes = to.len().min(LANES);
        // SAFETY: only lanes that the slice has are written.
        unsafe { _mm512_mask_storeu_ps(to.as_mut_ptr(), ((1_u32 << lanes) - 1) as u16, x) }
    }
    #[inline(always)]
    fn store_bf16(self, x: __m512, to: &mut [bf16]) {
        let to = to[..LANES].as_mut_ptr();
        if BF16 {
            // SAFETY: 16 halves are 256 bits in both types, and the slice has so many, or it would have panicked above.
            unsafe { _mm256_storeu_si256(to.cast(), transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x))) }
        } else {
            let bits = op!(_mm512_castps_si512(x));
            // Half a unit of what stays, a little less where that is even; a NaN stays one.
            let rounded = op!({
                let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
                let up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
                _mm512_mask_mov_epi32(up, _mm512_cmpunord_ps_mask(x, x), _mm512_set1_epi32(0x7fc0_0000))
            });
            // SAFETY: the slice has 16 halves, or it would have panicked above.
            unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded))) }
        }
    }
    #[inline(always)]
    fn store_u8(self, x: __m512, to: &mut [u8]) {
        let whole = op!(_mm512_max_epi32(_mm512_cvtps_epi32(x), _mm512_setzero_si512()));
        // SAFETY: the slice has 16 bytes, or it would panic here.
        unsafe { _mm_storeu_si128(to[..LANES].as_mut_ptr().cast(), _mm512_cvtusepi32_epi8(whole)) }
    }
    #[inline(always)]
    fn pair(self, low: __m512, high: __m512) -> __m512 {
        op!({
            let low = _mm512_srli_epi32::<16>(_mm512_castps_si512(low));
            _mm512_or_ps(_mm512_castsi512_ps(low), high)
        })
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        op!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn round(self, x: __m512) -> __m512 {
        op!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x))
    }
    #[inline(always)]
    fn abs(self, x: __m512) -> __m512 {
        op!(_mm512_abs_ps(x))
    }
    #[inline(always)]
    fn reciprocal(self, x: __m512) -> __m512 {
        // 14 bits, then one step of Newton's.
        op!({
            let near = _mm512_rcp14_ps(x);
            _mm512_fmadd_ps(near, _mm512_fnmadd_ps(x, near, _mm512_set1_ps(1.0)), near)
        })
    }
    #[inline(always)]
    fn reciprocal_coarse(self, x: __m512) -> __m512 {
        op!(_mm512_rcp14_ps(x))
    }
    #[inline(always)]
    fn scale(self, x: __m512, n: __m512) -> __m512 {
        op!(_mm512_scalef_ps(x, n))
    }
    #[inline(always)]
    fn where_negative(self, x: __m512, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(x)), b, a))
    }
    #[inline(always)]
    fn whole_number(self, x: __m512) -> __m512 {
        op!(_mm512_cvtepi32_ps(_mm512_castps_si512(x)))
    }
    #[inline(always)]
    fn sum(self, x: __m512) -> f32 {
        op!(_mm512_reduce_add_ps(x))
    }
    #[inline(always)]
    fn largest(self, x: __m512) -> f32 {
        op!(_mm512_reduce_max_ps(x))
    }
    #[inline(always)]
    fn dot_f32(self, acc: __m512, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_fmadd_ps(a, b, acc))
    }
    #[inline(always)]
    fn dot_bf16(self, acc: __m512, a: __m512, b: __m512) -> __m512 {
        if BF16 {
            // SAFETY: both types are 512 bits.
            let pairs = |x: __m512| unsafe { transmute::<__m512, __m512bh>(x) };
            return op!(_mm512_dpbf16_ps(acc, pairs(a), pairs(b)));
        }
        let low = |x: __m512| op!(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(x))));
        let high = |x: __m512| {
            op!(_mm512_castsi512_ps(_mm512_and_si512(
                _mm512_castps_si512(x),
                _mm512_set1_epi32(0xffff_0000_u32 as i32)
            )))
        };
        op!(_mm512_fmadd_ps(high(a), high(b), _mm512_fmadd_ps(low(a), low(b), acc)))
    }
    #[inline(always)]
    fn dot_i8(self, acc: __m512, a: __m512, b: __m512) -> __m512 {
        let (acc, a, b): (__m512i, __m512i, __m512i) =
            op!((_mm512_castps_si512(acc), _mm512_castps_si512(a), _mm512_castps_si512(b)));
        let sum = if VNNI {
            op!(_mm512_dpbusd_epi32(acc, a, b))
        } else {
            // Bytes 0 and 2, then 1 and 3, as 16-bit numbers. Multiplying bytes directly would cut sums at 32767.
            op!({
                let even = _mm512_madd_epi16(
                    _mm512_and_si512(a, _mm512_set1_epi16(0xff)),
                    _mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(b)),
                );
                let odd = _mm512_madd_epi16(_mm512_srli_epi16::<8>(a), _mm512_srai_epi16::<8>(b));
                _mm512_add_epi32(acc, _mm512_add_epi32(even, odd))
            })
        };
        op!(_mm512_castsi512_ps(sum))
    }
    #[inline(always)]
    unsafe fn load_at(self, from: *const f32) -> __m512 {
        // SAFETY: the caller says that so many can be read.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn splat_at(self, from: *const f32) -> __m512 {
        // SAFETY: the caller says that it can be read.
        unsafe { _mm512_set1_ps(*from) }
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
        tile::<Self, D, 14, 2>(self, a, b, steps, ahead, out, stride);
    }
}

/// See [`Simd::transpose`].
///
/// # Safety
/// The machine has AVX-512 F.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn transpose(from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
    assert!(from.len() >= 15 * from_stride + LANES && to.len() >= 15 * to_stride + LANES);
    let (from, to) = (from.as_ptr(), to.as_mut_ptr());
    // SAFETY: 16 words of the row are within the slice, as just checked.
    let row = |i: usize| unsafe { _mm512_loadu_ps(from.wrapping_add(i * from_stride)) };
    let mut fours = [_mm512_setzero_ps(); LANES];
    for four in 0..4 {
        let (a, b, c, d) = (row(4 * four), row(4 * four + 1), row(4 * four + 2), row(4 * four + 3));
        let (ab, cd) = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
        let (above, below) = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
        let low = |x, y| _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(x), _mm512_castps_pd(y)));
        let high = |x, y| _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(x), _mm512_castps_pd(y)));
        // In each quarter q, word 4q + i of these four rows.
        fours[four] = low(ab, cd);
        fours[4 + four] = high(ab, cd);
        fours[8 + four] = low(above, below);
        fours[12 + four] = high(above, below);
    }
    for (i, fours) in fours.chunks_exact(4).enumerate() {
        let (a, b, c, d) = (fours[0], fours[1], fours[2], fours[3]);
        let (ab, cd) = (_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0x44>(c, d));
        let (above, below) = (_mm512_shuffle_f32x4::<0xee>(a, b), _mm512_shuffle_f32x4::<0xee>(c, d));
        let columns = [
            _mm512_shuffle_f32x4::<0x88>(ab, cd),
            _mm512_shuffle_f32x4::<0xdd>(ab, cd),
            _mm512_shuffle_f32x4::<0x88>(above, below),
            _mm512_shuffle_f32x4::<0xdd>(above, below),
        ];
        for (quarter, column) in columns.into_iter().enumerate() {
            // SAFETY: 16 words of the row are within the slice, as checked above.
            unsafe { _mm512_storeu_ps(to.wrapping_add((4 * quarter + i) * to_stride), column) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Level};

    #[test]
    fn rows_become_columns() {
        if !Cpu::available().iter().any(|cpu| cpu.level() == Level::Avx512) {
            return;
        }
        let from: Vec<f32> = (0..16 * 20).map(|i| i as f32).collect();
        let mut to = vec![0.0; 16 * 17];
        // SAFETY: the machine has AVX-512 F, as just asked.
        unsafe { transpose(&from, 20, &mut to, 17) };
        for i in 0..16 {
            for j in 0..16 {
                assert_eq!(to[i * 17 + j], from[j * 20 + i]);
            }
        }
    }
}
