//! Pictures to test with: made here, the same everywhere, each different from the others.

use imbed_core::{
    Result,
    image::{EncodeFormat, Image, Mode, Samples, encode},
};

/// `count` pictures in RGB, of different sizes and proportions: a slope between two colours, stripes, a disc and noise.
pub(crate) fn pictures(count: usize) -> Result<Vec<Image>> {
    (0..count).map(picture).collect()
}

fn picture(number: usize) -> Result<Image> {
    let (width, height) = (24 + number * 13 % 50, 24 + number * 29 % 41);
    let mut random = Lcg(number as u32 * 7919 + 17);
    let (from, to): ([u32; 3], [u32; 3]) = (random.colour(), random.colour());
    let (stripe, radius) = (2 + number % 7, width.min(height) / 3);
    let mut samples = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let slope = ((x + 2 * y) * 255 / (width + 2 * height)) as u32;
            let inside = x.abs_diff(width / 2).pow(2) + y.abs_diff(height / 2).pow(2) < radius * radius;
            let striped = (x / stripe).is_multiple_of(2) && number.is_multiple_of(3);
            for channel in 0..3 {
                let mut value = (from[channel] * (255 - slope) + to[channel] * slope) / 255;
                if inside {
                    value = 255 - value;
                }
                if striped {
                    value /= 2;
                }
                samples.push((value + random.next() % 9).min(255) as u8);
            }
        }
    }
    Image::new(Mode::Rgb, width as u32, height as u32, Samples::U8(samples))
}

/// Each picture as a PNG.
pub(crate) fn pngs(pictures: &[Image]) -> Result<Vec<Vec<u8>>> {
    pictures.iter().map(|picture| encode(picture, EncodeFormat::Png)).collect()
}

/// The numbers of Numerical Recipes: enough to fill pictures with.
struct Lcg(u32);

impl Lcg {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 16
    }

    fn colour(&mut self) -> [u32; 3] {
        std::array::from_fn(|_| self.next() % 247)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_the_same_every_time_and_differ_from_each_other() {
        let all = pictures(40).unwrap();
        assert_eq!(all, pictures(40).unwrap());
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|other| other != one), "picture {i}");
        }
    }
}
