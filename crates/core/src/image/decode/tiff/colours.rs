//! From the samples of a page to an image, as PIL takes them.

use super::{
    directory::{self as tag, Directory},
    page::{self, Page},
};
use crate::{
    Result,
    image::{Format, Image, Mode, Samples, decode::failure},
};

pub(super) enum Colours {
    Image(Image),
    /// Four bytes a pixel, 255 for all the ink.
    Inks(Vec<u8>),
}

/// `samples` are those of a pixel together.
pub(super) fn image(directory: &Directory<'_>, page: &Page, samples: Samples) -> Result<Colours> {
    let each = usize::from(page.samples);
    let colours = match page.photometric {
        page::WHITE_IS_ZERO | page::BLACK_IS_ZERO | page::INDEXED => 1,
        page::YCC if each == 1 => 1,
        page::RGB | page::YCC | page::LAB => 3,
        page::CMYK => 4,
        4 => return Err(failure::unsupported(Format::Tiff, "a mask")),
        9 => return Err(failure::unsupported(Format::Tiff, "ICC L*a*b*")),
        10 => return Err(failure::unsupported(Format::Tiff, "ITU L*a*b*")),
        32803 => return Err(failure::unsupported(Format::Tiff, "raw samples of a camera (a colour filter array)")),
        32844 | 32845 => return Err(failure::unsupported(Format::Tiff, "LogLuv")),
        other => return Err(failure::unsupported(Format::Tiff, &format!("photometric interpretation {other}"))),
    };
    if each < colours {
        let what = format!("{each} samples a pixel, of a kind of colour that has {colours}");
        return Err(failure::unsupported(Format::Tiff, &what));
    }
    let alpha = Alpha::of(page, colours);
    let channels = colours + usize::from(alpha != Alpha::None);
    let samples = first_of(samples, each, channels);
    let (samples, channels) = match (page.photometric, samples) {
        (page::CMYK, Samples::U8(s)) => return Ok(Colours::Inks(first_of_four(&s, channels))),
        (page::CMYK, Samples::U16(s)) => {
            let bytes: Vec<u8> = s.iter().map(|v| ((u32::from(*v) * 255 + 32767) / 65535) as u8).collect();
            return Ok(Colours::Inks(first_of_four(&bytes, channels)));
        }
        (page::INDEXED, Samples::U8(s)) => (Samples::U8(looked_up(directory, page, &s, channels)?), channels + 2),
        (page::YCC, Samples::U8(s)) if colours == 3 => (Samples::U8(from_ycc(directory, page, &s, channels)), channels),
        (page::LAB, Samples::U8(s)) if page.bits == 8 => (Samples::U8(from_lab(&s, channels)), channels),
        (page::WHITE_IS_ZERO | page::BLACK_IS_ZERO | page::RGB | page::YCC, samples)
            if page.photometric < 3 || colours == 1 =>
        {
            (shades(page, samples, channels), channels)
        }
        _ => {
            let what = format!("{} bits a sample, of photometric interpretation {}", page.bits, page.photometric);
            return Err(failure::unsupported(Format::Tiff, &what));
        }
    };
    let samples = if alpha == Alpha::Multiplied { divided(samples, channels) } else { samples };
    let (samples, channels) = match samples {
        // There is no mode for grey floats.
        Samples::F32(s) if channels < 3 => (Samples::F32(tripled(&s, channels)), channels + 2),
        samples => (samples, channels),
    };
    let Some(mode) = Mode::of(samples.sample_type(), channels) else {
        return Err(failure::unsupported(Format::Tiff, &format!("{channels} samples a pixel")));
    };
    Image::new(mode, page.width, page.height, samples).map(Colours::Image)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alpha {
    None,
    Plain,
    /// The colours are multiplied by it.
    Multiplied,
}

impl Alpha {
    fn of(page: &Page, colours: usize) -> Self {
        let first = usize::from(page.samples) > colours;
        match page.extra.first() {
            Some(1) if first => Self::Multiplied,
            Some(2 | 999) if first => Self::Plain,
            // PIL takes a fourth sample that nothing is said of for alpha.
            None if page.photometric == page::RGB && page.samples == 4 => Self::Plain,
            _ => Self::None,
        }
    }
}

/// The first `kept` of every `each` samples.
fn first_of(samples: Samples, each: usize, kept: usize) -> Samples {
    fn pick<T: Copy>(samples: &[T], each: usize, kept: usize) -> Vec<T> {
        let mut out = Vec::with_capacity(samples.len() / each * kept);
        samples.chunks_exact(each).for_each(|pixel| out.extend_from_slice(&pixel[..kept]));
        out
    }
    match samples {
        samples if each == kept => samples,
        Samples::U8(s) => Samples::U8(pick(&s, each, kept)),
        Samples::U16(s) => Samples::U16(pick(&s, each, kept)),
        Samples::F32(s) => Samples::F32(pick(&s, each, kept)),
    }
}

fn first_of_four(samples: &[u8], channels: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(samples.len() / channels * 4);
    samples.chunks_exact(channels).for_each(|pixel| out.extend_from_slice(&pixel[..4]));
    out
}

/// Grey and RGB: few bits stretched to bytes, and white made the largest.
fn shades(page: &Page, samples: Samples, channels: usize) -> Samples {
    let white_is_zero = page.photometric == page::WHITE_IS_ZERO;
    match samples {
        Samples::U8(mut s) => {
            let stretch = if page.bits < 8 { 255 / ((1 << page.bits) - 1) as u8 } else { 1 };
            for pixel in s.chunks_exact_mut(channels) {
                for sample in pixel.iter_mut() {
                    *sample *= stretch;
                }
                pixel[0] = if white_is_zero { !pixel[0] } else { pixel[0] };
            }
            Samples::U8(s)
        }
        Samples::U16(mut s) => {
            s.chunks_exact_mut(channels).filter(|_| white_is_zero).for_each(|pixel| pixel[0] = !pixel[0]);
            Samples::U16(s)
        }
        Samples::F32(mut s) => {
            s.chunks_exact_mut(channels).filter(|_| white_is_zero).for_each(|pixel| pixel[0] = 1.0 - pixel[0]);
            Samples::F32(s)
        }
    }
}

/// Colours divided by the alpha that they are multiplied by.
fn divided(samples: Samples, channels: usize) -> Samples {
    match samples {
        Samples::U8(mut s) => {
            for pixel in s.chunks_exact_mut(channels) {
                let alpha = u32::from(pixel[channels - 1]);
                let plain = |v: u8| (u32::from(v) * 255).checked_div(alpha).unwrap_or(0).min(255) as u8;
                pixel[..channels - 1].iter_mut().for_each(|v| *v = plain(*v));
            }
            Samples::U8(s)
        }
        Samples::U16(mut s) => {
            for pixel in s.chunks_exact_mut(channels) {
                let alpha = u64::from(pixel[channels - 1]);
                let plain = |v: u16| (u64::from(v) * 65535).checked_div(alpha).unwrap_or(0).min(65535) as u16;
                pixel[..channels - 1].iter_mut().for_each(|v| *v = plain(*v));
            }
            Samples::U16(s)
        }
        Samples::F32(mut s) => {
            for pixel in s.chunks_exact_mut(channels) {
                let alpha = pixel[channels - 1];
                pixel[..channels - 1].iter_mut().for_each(|v| *v = if alpha > 0.0 { *v / alpha } else { 0.0 });
            }
            Samples::F32(s)
        }
    }
}

fn tripled(samples: &[f32], channels: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(samples.len() / channels * (channels + 2));
    for pixel in samples.chunks_exact(channels) {
        out.extend([pixel[0]; 2]);
        out.extend_from_slice(pixel);
    }
    out
}

/// The colours that the palette has for the indices: all its reds, greens and blues, 16 bits each, of which PIL takes the upper 8.
fn looked_up(directory: &Directory<'_>, page: &Page, samples: &[u8], channels: usize) -> Result<Vec<u8>> {
    let count = 1_usize << page.bits;
    let palette = directory.numbers(tag::PALETTE).filter(|palette| page.bits <= 8 && palette.len() >= 3 * count);
    let Some(palette) = palette else {
        return Err(failure::unsupported(Format::Tiff, "indices without a palette for all of them"));
    };
    let part = |index: u8, colour: usize| (palette[colour * count + usize::from(index)] >> 8) as u8;
    let mut out = Vec::with_capacity(samples.len() / channels * (channels + 2));
    for pixel in samples.chunks_exact(channels) {
        out.extend([0, 1, 2].map(|colour| part(pixel[0], colour)));
        out.extend_from_slice(&pixel[1..]);
    }
    Ok(out)
}

/// From brightness and two differences of colour, by the page's own coefficients, which PIL heeds in compressed pages only.
fn from_ycc(directory: &Directory<'_>, page: &Page, samples: &[u8], channels: usize) -> Vec<u8> {
    let given = |tag, default: &[f64]| {
        let given = directory.fractions(tag).filter(|given| given.len() == default.len() && page.compression != 1);
        given.unwrap_or_else(|| default.to_vec())
    };
    let luma = given(tag::YCC_COEFFICIENTS, &[0.299, 0.587, 0.114]);
    let range = given(tag::REFERENCE_BLACK_WHITE, &[0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
    let scaled = |v: u8, black: usize, most: f64| {
        let span = range[black + 1] - range[black];
        (f64::from(v) - range[black]) * most / if span == 0.0 { 1.0 } else { span }
    };
    let byte = |v: f64| v.round().clamp(0.0, 255.0) as u8;
    let mut out = Vec::with_capacity(samples.len());
    for pixel in samples.chunks_exact(channels) {
        let (y, cb, cr) = (scaled(pixel[0], 0, 255.0), scaled(pixel[1], 2, 127.0), scaled(pixel[2], 4, 127.0));
        let (r, b) = (y + cr * (2.0 - 2.0 * luma[0]), y + cb * (2.0 - 2.0 * luma[2]));
        let g = (y - luma[2] * b - luma[0] * r) / if luma[1] == 0.0 { 1.0 } else { luma[1] };
        out.extend([r, g, b].map(byte));
        out.extend(&pixel[3..]);
    }
    out
}

/// From CIE L*a*b* with the white D50 to sRGB.
fn from_lab(samples: &[u8], channels: usize) -> Vec<u8> {
    const WHITE: [f64; 3] = [0.9642, 1.0, 0.8249];
    // Adapted to D65 by Bradford's method.
    const TO_LINEAR: [[f64; 3]; 3] = [
        [3.133_856_1, -1.616_866_7, -0.490_614_6],
        [-0.978_768_4, 1.916_141_5, 0.033_454_0],
        [0.071_945_3, -0.228_991_4, 1.405_242_7],
    ];
    let light = |f: f64| if f > 6.0 / 29.0 { f.powi(3) } else { 3.0 * (6.0_f64 / 29.0).powi(2) * (f - 4.0 / 29.0) };
    let encoded = |v: f64| {
        let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
        (v * 255.0).round().clamp(0.0, 255.0) as u8
    };
    let mut out = Vec::with_capacity(samples.len());
    for pixel in samples.chunks_exact(channels) {
        let [a, b] = [pixel[1], pixel[2]].map(|v| f64::from(v as i8));
        let y = (f64::from(pixel[0]) * 100.0 / 255.0 + 16.0) / 116.0;
        let xyz = [y + a / 500.0, y, y - b / 200.0].map(light);
        let xyz: [f64; 3] = std::array::from_fn(|i| xyz[i] * WHITE[i]);
        out.extend(TO_LINEAR.map(|row| encoded(row.iter().zip(xyz).map(|(m, v)| m * v).sum())));
        out.extend(&pixel[3..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lab_of_white_grey_and_black_is_grey() {
        assert_eq!(from_lab(&[255, 0, 0, 0, 0, 0], 3), [255, 255, 255, 0, 0, 0]);
        let grey = from_lab(&[128, 0, 0], 3);
        assert!(grey.iter().all(|v| v.abs_diff(grey[0]) <= 1), "{grey:?}");
    }

    #[test]
    fn colours_are_divided_by_their_alpha() {
        let Samples::U8(plain) = divided(Samples::U8(vec![50, 100, 0, 9, 7, 0]), 3) else { panic!("bytes") };
        assert_eq!(plain[2..], [0, 0, 0, 0]);
        let Samples::U8(plain) = divided(Samples::U8(vec![50, 100]), 2) else { panic!("bytes") };
        assert_eq!(plain, [127, 100]);
    }
}
