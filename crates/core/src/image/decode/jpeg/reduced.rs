//! From coefficients to fewer samples than a block has: libjpeg's reduced transforms, bit for bit.
//!
//! A picture at 1/2, 1/4 or 1/8 of its size is made of the lower frequencies alone: of a block's 8 x 8 coefficients come
//! 4 x 4, 2 x 2 or 1 x 1 samples. Those that would barely count are left out: at 1/2 the fifth of each row and column, at 1/4
//! every even one but the first. Sums wrap and saturate where those of [`Full`](super::idct::Full) do.

use super::{
    frame::{BLOCK, COEFFICIENTS},
    idct::{CONSTANT_BITS, EXTRA_BITS, Transform, fixed, of_dc, sample},
};

/// 4 x 4 samples.
pub(crate) struct Half;

/// 2 x 2 samples.
pub(crate) struct Quarter;

/// One sample, the mean.
pub(crate) struct Eighth;

impl Transform for Half {
    const SIZE: usize = 4;

    #[inline(always)]
    fn inverse(block: &[i16; COEFFICIENTS], steps: &[i16; COEFFICIENTS], only_dc: bool, out: &mut [u8], stride: usize) {
        if only_dc {
            let dc = block[0].wrapping_mul(steps[0]).wrapping_shl(EXTRA_BITS);
            fill::<4>(of_dc(dc), out, stride);
            return;
        }
        let values = dequantised(block, steps);
        let mut between = [[0_i16; BLOCK]; 4];
        // Columns without anything below their first coefficient are that coefficient all the way down.
        let flat = (1..BLOCK).filter(|row| *row != 4).all(|row| block[row * BLOCK..][..BLOCK] == [0; BLOCK]);
        if flat {
            between = [std::array::from_fn(|column| values[column].wrapping_shl(EXTRA_BITS)); 4];
        } else {
            for column in 0..BLOCK {
                let column_of = std::array::from_fn(|row| values[row * BLOCK + column]);
                let four = four::<{ CONSTANT_BITS - EXTRA_BITS + 1 }>(column_of);
                for (row, value) in between.iter_mut().zip(four) {
                    row[column] = value;
                }
            }
        }
        let mut samples = [[0; 4]; 4];
        for (samples, row) in samples.iter_mut().zip(between) {
            *samples = four::<{ CONSTANT_BITS + EXTRA_BITS + 4 }>(row).map(sample);
        }
        write(&samples, out, stride);
    }
}

impl Transform for Quarter {
    const SIZE: usize = 2;

    #[inline(always)]
    fn inverse(block: &[i16; COEFFICIENTS], steps: &[i16; COEFFICIENTS], only_dc: bool, out: &mut [u8], stride: usize) {
        if only_dc {
            let dc = saturated(i32::from(block[0].wrapping_mul(steps[0])) << EXTRA_BITS);
            fill::<2>(of_dc(dc), out, stride);
            return;
        }
        let values = dequantised(block, steps);
        let mut between = [[0_i16; BLOCK]; 2];
        for column in 0..BLOCK {
            let column_of = std::array::from_fn(|row| values[row * BLOCK + column]);
            let two = two::<{ CONSTANT_BITS - EXTRA_BITS + 2 }>(column_of);
            for (row, value) in between.iter_mut().zip(two) {
                row[column] = value;
            }
        }
        let samples = between.map(|row| two::<{ CONSTANT_BITS + EXTRA_BITS + 5 }>(row).map(sample));
        write(&samples, out, stride);
    }
}

impl Transform for Eighth {
    const SIZE: usize = 1;

    #[inline(always)]
    fn inverse(block: &[i16; COEFFICIENTS], steps: &[i16; COEFFICIENTS], _: bool, out: &mut [u8], _: usize) {
        let mean = (i32::from(block[0]) * i32::from(steps[0]) + 4) >> 3;
        // This one has no vector code in libjpeg-turbo, and its plain code keeps ten bits of what damage makes too large.
        let mean = ((mean & 1023) ^ 512) - 512;
        if let Some(out) = out.first_mut() {
            *out = sample(mean as i16);
        }
    }
}

#[inline(always)]
fn dequantised(block: &[i16; COEFFICIENTS], steps: &[i16; COEFFICIENTS]) -> [i16; COEFFICIENTS] {
    std::array::from_fn(|i| block[i].wrapping_mul(steps[i]))
}

#[inline(always)]
fn fill<const N: usize>(sample: u8, out: &mut [u8], stride: usize) {
    write(&[[sample; N]; N], out, stride);
}

#[inline(always)]
fn write<const N: usize>(samples: &[[u8; N]; N], out: &mut [u8], stride: usize) {
    for (row, samples) in out.chunks_mut(stride).zip(samples) {
        row[..N].copy_from_slice(samples);
    }
}

#[inline(always)]
fn saturated(x: i32) -> i16 {
    x.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// `SHIFT` bits rounded away.
#[inline(always)]
fn down<const SHIFT: u32>(x: i32) -> i16 {
    saturated(x.wrapping_add(1 << (SHIFT - 1)) >> SHIFT)
}

/// Products and their sum, as two instructions that add pairs and one that adds those.
#[inline(always)]
fn products(values: [i16; 4], factors: [i32; 4]) -> i32 {
    let [a, b, c, d] = std::array::from_fn(|i| i32::from(values[i]).wrapping_mul(factors[i]));
    a.wrapping_add(b).wrapping_add(c.wrapping_add(d))
}

/// Four samples of eight coefficients, the fifth of which does not count.
#[inline(always)]
fn four<const SHIFT: u32>(s: [i16; BLOCK]) -> [i16; 4] {
    const EVEN: [i32; 2] = [fixed(1.847_759_065), -fixed(0.765_366_865)];
    // Sums of cosines of odd multiples of a sixteenth of a half turn, times the square root of 2.
    const OUTER: [i32; 4] = [fixed(2.562_915_447), fixed(0.899_976_223), -fixed(0.601_344_887), -fixed(0.509_795_579)];
    const INNER: [i32; 4] = [fixed(1.061_594_337), -fixed(2.172_734_803), fixed(1.451_774_981), -fixed(0.211_164_243)];
    let dc = i32::from(s[0]) << (CONSTANT_BITS + 1);
    let even = products([s[2], s[6], 0, 0], [EVEN[0], EVEN[1], 0, 0]);
    let odd = [s[1], s[3], s[5], s[7]];
    let (outer, inner) = (products(odd, OUTER), products(odd, INNER));
    let (a, b) = (dc.wrapping_add(even), dc.wrapping_sub(even));
    [a.wrapping_add(outer), b.wrapping_add(inner), b.wrapping_sub(inner), a.wrapping_sub(outer)].map(down::<SHIFT>)
}

/// Two samples of the first and the odd ones of eight coefficients.
#[inline(always)]
fn two<const SHIFT: u32>(s: [i16; BLOCK]) -> [i16; 2] {
    const ODD: [i32; 4] = [fixed(3.624_509_785), -fixed(1.272_758_580), fixed(0.850_430_095), -fixed(0.720_959_822)];
    let dc = i32::from(s[0]) << (CONSTANT_BITS + 2);
    let odd = products([s[1], s[3], s[5], s[7]], ODD);
    [dc.wrapping_add(odd), dc.wrapping_sub(odd)].map(down::<SHIFT>)
}

#[cfg(test)]
mod tests {
    use super::{super::idct::Full, *};

    fn samples<T: Transform>(block: &[i16; COEFFICIENTS], only_dc: bool) -> Vec<u8> {
        let mut out = vec![0; T::SIZE * T::SIZE];
        T::inverse(block, &[1; COEFFICIENTS], only_dc, &mut out, T::SIZE);
        out
    }

    /// The means of the full transform's samples.
    fn means<const SIZE: usize>(block: &[i16; COEFFICIENTS]) -> Vec<f64> {
        let mut full = [0; COEFFICIENTS];
        Full::inverse(block, &[1; COEFFICIENTS], false, &mut full, BLOCK);
        let step = BLOCK / SIZE;
        let mean = |i: usize| {
            let (y, x) = (i / SIZE * step, i % SIZE * step);
            let sum: f64 = (0..step * step).map(|j| f64::from(full[(y + j / step) * BLOCK + x + j % step])).sum();
            sum / (step * step) as f64
        };
        (0..SIZE * SIZE).map(mean).collect()
    }

    #[test]
    fn samples_of_low_frequencies_are_near_the_means_of_the_full_ones() {
        let mut state = 1_u32;
        for _ in 0..200 {
            let mut random = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as i16 - 128
            };
            let mut block = [0; COEFFICIENTS];
            for place in [0, 1, BLOCK, BLOCK + 1] {
                block[place] = random();
            }
            for (ours, means) in [
                (samples::<Half>(&block, false), means::<4>(&block)),
                (samples::<Quarter>(&block, false), means::<2>(&block)),
                (samples::<Eighth>(&block, false), means::<1>(&block)),
            ] {
                for (ours, mean) in ours.into_iter().zip(means) {
                    assert!((f64::from(ours) - mean).abs() <= 2.0, "{ours} {mean} {:?}", &block[..10]);
                }
            }
        }
    }

    #[test]
    fn a_block_of_dc_alone_is_the_same_either_way_and_at_every_size() {
        for dc in -2048..2048 {
            let mut block = [0; COEFFICIENTS];
            block[0] = dc;
            let (half, quarter) = (samples::<Half>(&block, true), samples::<Quarter>(&block, true));
            assert_eq!(
                (&half, &quarter),
                (&samples::<Half>(&block, false), &samples::<Quarter>(&block, false)),
                "{dc}"
            );
            assert_eq!((half[0], quarter[0]), (samples::<Eighth>(&block, true)[0], samples::<Full>(&block, true)[0]));
        }
    }

    #[test]
    fn coefficients_out_of_range_do_not_overflow() {
        for value in [i16::MIN, i16::MAX] {
            for only_dc in [false, true] {
                let block = [value; COEFFICIENTS];
                samples::<Half>(&block, only_dc);
                samples::<Quarter>(&block, only_dc);
                samples::<Eighth>(&block, only_dc);
            }
        }
    }
}
