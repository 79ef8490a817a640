//! From coefficients to samples: libjpeg's accurate integer transform, bit for bit.
//!
//! The method is that of C. Loeffler, A. Ligtenberg and G. Moschytz, "Practical fast 1-D DCT algorithms with 11
//! multiplications" (ICASSP 1989), on columns and then on rows, with constants of 13 bits and 2 bits more between the two.
//! Where damaged files leave the range, sums wrap and saturate at 16 bits as those of libjpeg-turbo's vector code do.

use super::frame::{BLOCK, COEFFICIENTS};

/// Bits after the point of the constants.
pub(super) const CONSTANT_BITS: u32 = 13;
/// Bits after the point that samples have between columns and rows.
pub(super) const EXTRA_BITS: u32 = 2;

/// `x` with [`CONSTANT_BITS`] after the point.
pub(super) const fn fixed(x: f64) -> i32 {
    (x * (1 << CONSTANT_BITS) as f64 + 0.5) as i32
}

/// How blocks become samples. The size is that of the samples a block gives.
pub(crate) trait Transform {
    /// Samples along a side of what a block becomes.
    const SIZE: usize;

    /// Writes the samples of `block` to `out`, whose rows are `stride` apart. `only_dc` promises that no other coefficient
    /// is set. Quantisation steps and coefficients are in rows.
    fn inverse(block: &[i16; COEFFICIENTS], steps: &[i16; COEFFICIENTS], only_dc: bool, out: &mut [u8], stride: usize);
}

/// Every sample.
pub(crate) struct Full;

impl Transform for Full {
    const SIZE: usize = BLOCK;

    #[inline(always)]
    fn inverse(block: &[i16; COEFFICIENTS], steps: &[i16; COEFFICIENTS], only_dc: bool, out: &mut [u8], stride: usize) {
        if only_dc {
            let dc = block[0].wrapping_mul(steps[0]).wrapping_shl(EXTRA_BITS);
            let sample = of_dc(dc);
            for row in out.chunks_mut(stride).take(BLOCK) {
                row[..BLOCK].fill(sample);
            }
            return;
        }
        let mut values = [0_i16; COEFFICIENTS];
        for ((value, coefficient), step) in values.iter_mut().zip(block).zip(steps) {
            *value = coefficient.wrapping_mul(*step);
        }
        // Columns without anything below their first coefficient are that coefficient all the way down.
        let flat = values[BLOCK..].iter().fold(0, |any, value| any | value) == 0;
        let values = if flat {
            std::array::from_fn(|i| values[i / BLOCK].wrapping_shl(EXTRA_BITS))
        } else {
            transposed(&pass::<{ CONSTANT_BITS - EXTRA_BITS }>(&values))
        };
        let values = pass::<{ CONSTANT_BITS + EXTRA_BITS + 3 }>(&values);
        let samples = transposed(&values.map(sample));
        for (row, samples) in out.chunks_mut(stride).zip(samples.as_chunks::<BLOCK>().0) {
            row[..BLOCK].copy_from_slice(samples);
        }
    }
}

/// Samples are around 128.
#[inline(always)]
pub(super) fn sample(value: i16) -> u8 {
    value.saturating_add(128).clamp(0, 255) as u8
}

/// The sample that a DC coefficient alone makes; it has [`EXTRA_BITS`] after the point.
#[inline(always)]
pub(super) fn of_dc(dc: i16) -> u8 {
    sample(((i32::from(dc) + (1 << (EXTRA_BITS + 2))) >> (EXTRA_BITS + 3)) as i16)
}

#[inline(always)]
fn transposed<T: Copy + Default>(block: &[T; COEFFICIENTS]) -> [T; COEFFICIENTS] {
    let mut out = [T::default(); COEFFICIENTS];
    for row in 0..BLOCK {
        for column in 0..BLOCK {
            out[column * BLOCK + row] = block[row * BLOCK + column];
        }
    }
    out
}

/// Transforms every column; `SHIFT` bits are rounded away.
#[inline(always)]
fn pass<const SHIFT: u32>(block: &[i16; COEFFICIENTS]) -> [i16; COEFFICIENTS] {
    let mut out = [0; COEFFICIENTS];
    for c in 0..BLOCK {
        let column: [i16; BLOCK] = std::array::from_fn(|row| block[row * BLOCK + c]);
        let column = one_dimension::<SHIFT>(column);
        for row in 0..BLOCK {
            out[row * BLOCK + c] = column[row];
        }
    }
    out
}

/// `a x + b y` for 16-bit `x` and `y`, which processors have an instruction for.
#[inline(always)]
fn rotate(x: i16, a: i32, y: i16, b: i32) -> i32 {
    i32::from(x) * a + i32::from(y) * b
}

#[inline(always)]
fn one_dimension<const SHIFT: u32>(s: [i16; BLOCK]) -> [i16; BLOCK] {
    const C0_298: i32 = fixed(0.298_631_336);
    const C0_390: i32 = fixed(0.390_180_644);
    const C0_541: i32 = fixed(0.541_196_100);
    const C0_765: i32 = fixed(0.765_366_865);
    const C0_899: i32 = fixed(0.899_976_223);
    const C1_175: i32 = fixed(1.175_875_602);
    const C1_501: i32 = fixed(1.501_321_110);
    const C1_847: i32 = fixed(1.847_759_065);
    const C1_961: i32 = fixed(1.961_570_560);
    const C2_053: i32 = fixed(2.053_119_869);
    const C2_562: i32 = fixed(2.562_915_447);
    const C3_072: i32 = fixed(3.072_711_026);

    // The even part. Products with common factors are joined, which changes no bit.
    let half_a = rotate(s[2], C0_541 + C0_765, s[6], C0_541);
    let half_b = rotate(s[2], C0_541, s[6], C0_541 - C1_847);
    let sum = i32::from(s[0].wrapping_add(s[4])) << CONSTANT_BITS;
    let difference = i32::from(s[0].wrapping_sub(s[4])) << CONSTANT_BITS;
    let even = [sum + half_a, difference + half_b, difference - half_b, sum - half_a];

    // The odd part.
    let (z3, z4) = (s[7].wrapping_add(s[3]), s[5].wrapping_add(s[1]));
    let a = rotate(z3, C1_175 - C1_961, z4, C1_175);
    let b = rotate(z3, C1_175, z4, C1_175 - C0_390);
    let odd = [
        rotate(s[7], -C0_899, s[1], C1_501 - C0_899) + b,
        rotate(s[5], -C2_562, s[3], C3_072 - C2_562) + a,
        rotate(s[5], C2_053 - C2_562, s[3], -C2_562) + b,
        rotate(s[7], C0_298 - C0_899, s[1], -C0_899) + a,
    ];

    let down = |x: i32| ((x + (1 << (SHIFT - 1))) >> SHIFT).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    [
        down(even[0] + odd[0]),
        down(even[1] + odd[1]),
        down(even[2] + odd[2]),
        down(even[3] + odd[3]),
        down(even[3] - odd[3]),
        down(even[2] - odd[2]),
        down(even[1] - odd[1]),
        down(even[0] - odd[0]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(block: &[i16; COEFFICIENTS], only_dc: bool) -> [u8; COEFFICIENTS] {
        let mut out = [0; COEFFICIENTS];
        Full::inverse(block, &[1; COEFFICIENTS], only_dc, &mut out, BLOCK);
        out
    }

    /// T.81, A.3.3, by its formula.
    fn exact(block: &[i16; COEFFICIENTS]) -> [f64; COEFFICIENTS] {
        let basis = |x: usize, u: usize| {
            let scale = if u == 0 { 0.5_f64.sqrt() } else { 1.0 };
            scale * ((2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / 16.0).cos() / 2.0
        };
        std::array::from_fn(|i| {
            let (y, x) = (i / 8, i % 8);
            let term = |j: usize| f64::from(block[j]) * basis(y, j / 8) * basis(x, j % 8);
            ((0..64).map(term).sum::<f64>() + 128.0).clamp(0.0, 255.0)
        })
    }

    #[test]
    fn samples_are_within_one_of_the_formula() {
        let mut state = 1_u32;
        for _ in 0..200 {
            let block = std::array::from_fn(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if state >> 30 == 0 { (state >> 20 & 255) as i16 - 128 } else { 0 }.clamp(-128, 127)
                    / (1 + i as i16 / 8)
            });
            for (ours, exact) in samples(&block, false).into_iter().zip(exact(&block)) {
                assert!((f64::from(ours) - exact).abs() <= 1.0, "{ours} {exact}");
            }
        }
    }

    #[test]
    fn a_block_of_dc_alone_is_the_same_either_way() {
        for dc in -2048..2048 {
            let mut block = [0; COEFFICIENTS];
            block[0] = dc;
            assert_eq!(samples(&block, true), samples(&block, false), "{dc}");
        }
    }

    #[test]
    fn coefficients_out_of_range_do_not_overflow() {
        for value in [i16::MIN, i16::MAX] {
            samples(&[value; COEFFICIENTS], false);
            samples(&[value; COEFFICIENTS], true);
        }
    }
}
