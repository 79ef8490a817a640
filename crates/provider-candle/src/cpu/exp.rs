//! The exponential, written so that the compiler vectorises it.

/// Three halves of 2^23: adding it to a small number leaves that number, rounded to a whole one, in the lowest bits.
const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, the first with its last bits zero, so that its product with a whole number is exact
/// (Cody and Waite, Software Manual for the Elementary Functions, 1980).
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// e^x to within 3e-7 of itself for -87 <= x <= 88; smaller and larger `x` give what those bounds give.
///
/// Writes x = n ln 2 + r with n whole and |r| <= ln 2 / 2, sums r's Taylor series to the sixth power, and puts n into
/// the exponent. No branch and no fused multiply-add, so every processor gives the same bits.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let series = 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = series * r * r + r + 1.0;
    series * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_standard_library() {
        for i in -870_000..=880_000 {
            let x = i as f32 * 1e-4;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp(x)) - exact).abs() / exact;
            assert!(error < 3e-7, "e^{x}: {error:e}");
        }
    }

    #[test]
    fn the_ends_neither_overflow_nor_vanish_and_nan_stays() {
        assert!(exp(1e30).is_finite() && exp(f32::INFINITY).is_finite());
        assert!(exp(-1e30) > 0.0 && exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::NAN).is_nan());
    }
}
