//! From one mode to another.

use std::borrow::Cow;

use super::{Image, Mode, SampleType, Samples};
use crate::options::Alpha;

impl Image {
    /// The image in `mode`, by PIL's rules where PIL has both modes.
    ///
    /// - Grey to colour repeats the sample; colour to grey is ITU-R 601 luma, in PIL's fixed point for bytes.
    /// - Alpha that the new mode lacks is dropped or laid over a colour, as `alpha` says; alpha that it gains is opaque.
    /// - Samples are scaled between types, never cut off: 65535 and 1.0 become 255. Floats are clamped to 0..=1 first.
    #[must_use]
    pub fn convert(&self, mode: Mode, alpha: Alpha) -> Self {
        if mode == self.mode {
            return self.clone();
        }
        let samples = match mode.sample_type() {
            SampleType::U8 if mode == Mode::Rgb => Samples::U8(self.to_rgb8(alpha).into_owned()),
            SampleType::U8 => Samples::U8(recode(&as_bytes(&self.samples), self.mode, mode, alpha)),
            SampleType::U16 => Samples::U16(recode(&as_words(&self.samples), self.mode, mode, alpha)),
            SampleType::F32 => Samples::F32(recode(&as_floats(&self.samples), self.mode, mode, alpha)),
        };
        Self { mode, samples, ..*self }
    }

    /// The image as RGB bytes, `[height, width, 3]`; borrowed where it is RGB already.
    pub fn to_rgb8(&self, alpha: Alpha) -> Cow<'_, [u8]> {
        match &self.samples {
            Samples::U8(s) if self.mode == Mode::Rgb => Cow::Borrowed(s),
            Samples::U8(s) => Cow::Owned(recode(s, self.mode, Mode::Rgb, alpha)),
            Samples::U16(s) => Cow::Owned(rgb(s, word_to_byte, self.mode, alpha)),
            Samples::F32(s) => Cow::Owned(rgb(s, float_to_byte, self.mode, alpha)),
        }
    }
}

/// RGB of samples that become bytes first, a few at a time: all of them would take memory that nobody counts on.
fn rgb<T: Copy>(samples: &[T], byte: impl Fn(T) -> u8, from: Mode, alpha: Alpha) -> Vec<u8> {
    const PIXELS: usize = 1 << 14;
    let mut out = Vec::with_capacity(samples.len() / from.channels() * 3);
    for piece in samples.chunks(PIXELS * from.channels()) {
        let bytes: Vec<u8> = piece.iter().map(|sample| byte(*sample)).collect();
        out.extend(recode(&bytes, from, Mode::Rgb, alpha));
    }
    out
}

/// Rounded to the nearest: 257 words to a byte.
fn word_to_byte(word: u16) -> u8 {
    ((u32::from(word) * 255 + 32767) / 65535) as u8
}

fn float_to_byte(float: f32) -> u8 {
    (float.clamp(0.0, 1.0) * 255.0).round() as u8
}

fn as_bytes(samples: &Samples) -> Cow<'_, [u8]> {
    match samples {
        Samples::U8(s) => Cow::Borrowed(s),
        Samples::U16(s) => s.iter().map(|v| word_to_byte(*v)).collect(),
        Samples::F32(s) => s.iter().map(|v| float_to_byte(*v)).collect(),
    }
}

fn as_words(samples: &Samples) -> Cow<'_, [u16]> {
    match samples {
        Samples::U8(s) => s.iter().map(|v| u16::from(*v) * 257).collect(),
        Samples::U16(s) => Cow::Borrowed(s),
        Samples::F32(s) => s.iter().map(|v| (v.clamp(0.0, 1.0) * 65535.0).round() as u16).collect(),
    }
}

fn as_floats(samples: &Samples) -> Cow<'_, [f32]> {
    match samples {
        Samples::U8(s) => s.iter().map(|v| f32::from(*v) / 255.0).collect(),
        Samples::U16(s) => s.iter().map(|v| f32::from(*v) / 65535.0).collect(),
        Samples::F32(s) => Cow::Borrowed(s),
    }
}

/// Arithmetic on samples of one type.
trait Sample: Copy {
    const OPAQUE: Self;
    /// ITU-R 601 luma.
    fn luma(rgb: [Self; 3]) -> Self;
    /// `self` at the opacity `alpha` over `under`, a byte of a colour.
    fn over(self, alpha: Self, under: u8) -> Self;
}

impl Sample for u8 {
    const OPAQUE: Self = 255;
    fn luma(rgb: [Self; 3]) -> Self {
        // 0.299, 0.587 and 0.114 in 16 bits after the point, as PIL's `L24` has them.
        let [r, g, b] = rgb.map(u32::from);
        ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as Self
    }
    fn over(self, alpha: Self, under: u8) -> Self {
        // PIL's blend: the rounded quotient by 255 without a division.
        let sum = u32::from(self) * u32::from(alpha) + u32::from(under) * u32::from(255 - alpha) + 128;
        (((sum >> 8) + sum) >> 8) as Self
    }
}

impl Sample for u16 {
    const OPAQUE: Self = 65535;
    fn luma(rgb: [Self; 3]) -> Self {
        let [r, g, b] = rgb.map(u64::from);
        ((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16) as Self
    }
    fn over(self, alpha: Self, under: u8) -> Self {
        let sum = u64::from(self) * u64::from(alpha) + u64::from(under) * 257 * u64::from(65535 - alpha);
        ((sum + 32767) / 65535) as Self
    }
}

impl Sample for f32 {
    const OPAQUE: Self = 1.0;
    fn luma([r, g, b]: [Self; 3]) -> Self {
        0.299 * r + 0.587 * g + 0.114 * b
    }
    fn over(self, alpha: Self, under: u8) -> Self {
        self * alpha + Self::from(under) / 255.0 * (1.0 - alpha)
    }
}

/// The channels of `from` as those of `to`; both have the sample type `T` by now.
fn recode<T: Sample>(samples: &[T], from: Mode, to: Mode, alpha: Alpha) -> Vec<T> {
    match from.channels() {
        1 => write(samples.as_chunks::<1>().0.iter().map(|[l]| ([*l; 3], T::OPAQUE)), from, to, alpha),
        2 => write(samples.as_chunks::<2>().0.iter().map(|[l, a]| ([*l; 3], *a)), from, to, alpha),
        3 => write(samples.as_chunks::<3>().0.iter().map(|rgb| (*rgb, T::OPAQUE)), from, to, alpha),
        _ => write(samples.as_chunks::<4>().0.iter().map(|[r, g, b, a]| ([*r, *g, *b], *a)), from, to, alpha),
    }
}

fn write<T: Sample>(pixels: impl ExactSizeIterator<Item = ([T; 3], T)>, from: Mode, to: Mode, alpha: Alpha) -> Vec<T> {
    let blend = match alpha {
        Alpha::Over(colour) if from.has_alpha() && !to.has_alpha() => Some(colour),
        _ => None,
    };
    match blend {
        None => write_pixels(pixels, from, to),
        Some([ur, ug, ub]) => {
            let laid = pixels.map(|([r, g, b], a)| ([r.over(a, ur), g.over(a, ug), b.over(a, ub)], T::OPAQUE));
            // A colour under grey may have coloured it.
            write_pixels(laid, Mode::Rgb, to)
        }
    }
}

fn write_pixels<T: Sample>(pixels: impl ExactSizeIterator<Item = ([T; 3], T)>, from: Mode, to: Mode) -> Vec<T> {
    // The luma of a grey pixel is the pixel itself, which the arithmetic of floats would not give exactly.
    let grey = from.channels() <= 2;
    let luma = move |rgb: [T; 3]| if grey { rgb[0] } else { T::luma(rgb) };
    let mut out = Vec::with_capacity(pixels.len() * to.channels());
    match to.channels() {
        1 => out.extend(pixels.map(|(rgb, _)| luma(rgb))),
        2 => pixels.for_each(|(rgb, a)| out.extend([luma(rgb), a])),
        3 => pixels.for_each(|(rgb, _)| out.extend(rgb)),
        _ => pixels.for_each(|([r, g, b], a)| out.extend([r, g, b, a])),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn u8s(mode: Mode, samples: &[u8]) -> Image {
        let width = (samples.len() / mode.channels()) as u32;
        Image::new(mode, width, 1, Samples::U8(samples.to_vec())).unwrap()
    }

    #[test]
    fn dropping_alpha_shows_the_colour_under_it() {
        let image = u8s(Mode::Rgba, &[10, 20, 30, 0, 40, 50, 60, 255]);
        assert_eq!(image.to_rgb8(Alpha::Drop).as_ref(), [10, 20, 30, 40, 50, 60]);
        assert_eq!(u8s(Mode::La, &[7, 0]).to_rgb8(Alpha::Drop).as_ref(), [7, 7, 7]);
    }

    #[test]
    fn laying_over_a_colour_blends_by_alpha() {
        let image = u8s(Mode::Rgba, &[10, 20, 30, 0, 10, 20, 30, 255, 0, 0, 0, 128]);
        let white = image.to_rgb8(Alpha::Over([255; 3]));
        assert_eq!(white.as_ref(), [255, 255, 255, 10, 20, 30, 127, 127, 127]);
        let red = u8s(Mode::La, &[0, 0]).to_rgb8(Alpha::Over([255, 0, 0])).into_owned();
        assert_eq!(red, [255, 0, 0]);
    }

    #[test]
    fn luma_is_pils() {
        // From Pillow: Image.new("RGB", (1, 1), colour).convert("L").getpixel((0, 0)).
        for (rgb, luma) in
            [([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29), ([1, 2, 3], 2), ([200, 100, 50], 124)]
        {
            assert_eq!(u8s(Mode::Rgb, &rgb).convert(Mode::L, Alpha::Drop).as_u8().unwrap(), [luma], "{rgb:?}");
        }
    }

    #[test]
    fn wide_samples_are_scaled_and_rounded() {
        let words = Image::new(Mode::L16, 4, 1, Samples::U16(vec![0, 128, 129, 65535])).unwrap();
        assert_eq!(words.convert(Mode::L, Alpha::Drop).as_u8().unwrap(), [0, 0, 1, 255]);
        let floats = Image::new(Mode::Rgb32F, 1, 1, Samples::F32(vec![-1.0, 0.5, 7.0])).unwrap();
        assert_eq!(floats.to_rgb8(Alpha::Drop).as_ref(), [0, 128, 255]);
    }

    #[test]
    fn eight_bits_survive_sixteen_and_floats() {
        let image = u8s(Mode::Rgb, &(0..255).collect::<Vec<_>>());
        for mode in [Mode::Rgb16, Mode::Rgba16, Mode::Rgb32F, Mode::Rgba32F, Mode::Rgba] {
            assert_eq!(image.convert(mode, Alpha::Drop).convert(Mode::Rgb, Alpha::Drop), image, "{mode}");
        }
    }

    #[test]
    fn every_mode_becomes_every_other() {
        for from in Mode::ALL {
            for to in Mode::ALL {
                let image = u8s(Mode::L, &[9, 200]).convert(from, Alpha::Drop);
                let there = image.convert(to, Alpha::Drop);
                assert_eq!(there.mode(), to);
                assert_eq!(there.convert(Mode::L, Alpha::Drop).as_u8().unwrap(), [9, 200], "{from} to {to}");
            }
        }
    }
}
