//! Elementary functions on vectors.

use crate::simd::Simd;

/// `eˣ` to a relative 3e-7 between -87 and 88; beyond, as at the nearer end.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::F) -> S::F {
    let x = simd.min(simd.splat(88.0), simd.max(simd.splat(-87.0), x));
    // x = n ln 2 + r with |r| <= ln 2 / 2. The logarithm in two parts, so that n times the first is exact.
    let n = simd.round(simd.mul(x, simd.splat(std::f32::consts::LOG2_E)));
    let r = simd.mul_add(n, simd.splat(-0.693_359_4), x);
    let r = simd.mul_add(n, simd.splat(2.121_944_4e-4), r);
    // Taylor's series; the first term left out is below 1.3e-7 of the sum.
    let mut sum = simd.splat(1.0 / 720.0);
    for factor in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = simd.mul_add(sum, r, simd.splat(factor));
    }
    simd.scale(sum, n)
}

/// `2ˣ` for x of at most 126, to a relative 2e-4: more than bf16 can say. Less than -126 is as -126.
#[inline(always)]
pub(crate) fn exp2_coarse<S: Simd>(simd: S, x: S::F) -> S::F {
    let x = simd.max(simd.splat(-126.0), x);
    let n = simd.round(x);
    let r = simd.sub(x, n);
    // The polynomial of the third degree that is off least between -1/2 and 1/2.
    let mut sum = simd.splat(0.055_828_62);
    for factor in [0.242_640_5, 0.693_152_1, 0.999_928_9] {
        sum = simd.mul_add(sum, r, simd.splat(factor));
    }
    simd.scale(sum, n)
}

/// `1 / (1 + 2⁻ˣ)`, to a relative 3e-4 above -126.
#[inline(always)]
pub(crate) fn sigmoid2_coarse<S: Simd>(simd: S, x: S::F) -> S::F {
    // Up to 126, the reciprocal is a normal number.
    let x = simd.min(simd.splat(126.0), simd.sub(simd.splat(0.0), x));
    simd.reciprocal_coarse(simd.add(simd.splat(1.0), exp2_coarse(simd, x)))
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(simd: S, x: S::F) -> S::F {
    // Up to 80 the reciprocal is a normal number.
    let x = simd.max(simd.splat(-80.0), x);
    simd.reciprocal(simd.add(simd.splat(1.0), exp(simd, simd.sub(simd.splat(0.0), x))))
}

/// The share of a normal distribution below x, to an absolute 2e-7.
#[inline(always)]
pub(crate) fn normal_below<S: Simd>(simd: S, x: S::F) -> S::F {
    // Abramowitz and Stegun, 7.1.26, for erfc(|x| / √2) / 2.
    let z = simd.mul(simd.abs(x), simd.splat(std::f32::consts::FRAC_1_SQRT_2));
    let z = simd.min(simd.splat(9.0), z);
    let t = simd.reciprocal(simd.mul_add(z, simd.splat(0.327_591_1), simd.splat(1.0)));
    let mut sum = simd.splat(1.061_405_4);
    for factor in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        sum = simd.mul_add(sum, t, simd.splat(factor));
    }
    let tail =
        simd.mul(simd.mul(simd.mul(sum, t), simd.splat(0.5)), exp(simd, simd.sub(simd.splat(0.0), simd.mul(z, z))));
    simd.where_negative(x, tail, simd.sub(simd.splat(1.0), tail))
}
