//! From pixels to an encoded file.

use std::{fmt, io::Cursor, str::FromStr};

use image::{
    ExtendedColorType, ImageEncoder, ImageError,
    codecs::{
        bmp::BmpEncoder, gif::GifEncoder, jpeg::JpegEncoder, png::PngEncoder, tiff::TiffEncoder, webp::WebPEncoder,
    },
};

use super::{Format, Image, Mode, Samples};
use crate::{Error, ErrorKind, Result};

/// A format to encode as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeFormat {
    /// PNG: lossless; L, LA, RGB, RGBA in 8 and 16 bits.
    Png,
    /// JPEG: lossy; L and RGB.
    Jpeg {
        /// 1 (small) to 100 (fine).
        quality: u8,
    },
    /// WebP, lossless; L, LA, RGB and RGBA.
    WebP,
    /// Windows bitmap: L, RGB and RGBA.
    Bmp,
    /// TIFF: lossless; L, RGB and RGBA in 8 and 16 bits, RGB and RGBA in floats.
    Tiff,
    /// GIF: 256 colours of its own choice; RGB and RGBA.
    Gif,
}

impl EncodeFormat {
    /// The quality of a JPEG where nobody says: PIL's.
    pub const DEFAULT_QUALITY: u8 = 75;

    /// The format of the file that comes out.
    pub const fn format(self) -> Format {
        match self {
            Self::Png => Format::Png,
            Self::Jpeg { .. } => Format::Jpeg,
            Self::WebP => Format::WebP,
            Self::Bmp => Format::Bmp,
            Self::Tiff => Format::Tiff,
            Self::Gif => Format::Gif,
        }
    }

    /// The modes that it can hold.
    pub const fn modes(self) -> &'static [Mode] {
        match self {
            Self::Png => &[Mode::L, Mode::La, Mode::Rgb, Mode::Rgba, Mode::L16, Mode::La16, Mode::Rgb16, Mode::Rgba16],
            Self::Jpeg { .. } => &[Mode::L, Mode::Rgb],
            Self::WebP => &[Mode::L, Mode::La, Mode::Rgb, Mode::Rgba],
            Self::Bmp => &[Mode::L, Mode::Rgb, Mode::Rgba],
            Self::Tiff => {
                &[Mode::L, Mode::Rgb, Mode::Rgba, Mode::L16, Mode::Rgb16, Mode::Rgba16, Mode::Rgb32F, Mode::Rgba32F]
            }
            Self::Gif => &[Mode::Rgb, Mode::Rgba],
        }
    }
}

impl fmt::Display for EncodeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.format().fmt(f)
    }
}

impl FromStr for EncodeFormat {
    type Err = Error;

    /// `png`, `jpeg`, `jpg`, `webp`, `bmp`, `tiff`, `gif`, in any case.
    fn from_str(s: &str) -> Result<Self> {
        Ok(match s.to_ascii_lowercase().as_str() {
            "png" => Self::Png,
            "jpeg" | "jpg" => Self::Jpeg { quality: Self::DEFAULT_QUALITY },
            "webp" => Self::WebP,
            "bmp" => Self::Bmp,
            "tiff" | "tif" => Self::Tiff,
            "gif" => Self::Gif,
            _ => {
                return Err(Error::new(ErrorKind::BadOption, format!("'{s}' is not a format to encode images as"))
                    .hint("one of: png, jpeg, webp, bmp, tiff, gif"));
            }
        })
    }
}

/// Encodes `image`; an error if the format cannot hold its mode or size.
pub fn encode(image: &Image, format: EncodeFormat) -> Result<Vec<u8>> {
    if !format.modes().contains(&image.mode) {
        let modes: Vec<&str> = format.modes().iter().map(|mode| mode.as_str()).collect();
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{format} does not hold images of mode {}", image.mode),
        )
        .hint(format!("convert it first: {format} holds {}", modes.join(", "))));
    }
    if let EncodeFormat::Jpeg { quality: quality @ (0 | 101..) } = format {
        return Err(Error::new(ErrorKind::BadOption, format!("{quality} is not a JPEG quality")).hint("give 1 to 100"));
    }
    let samples = native_bytes(&image.samples);
    let (width, height, colour) = (image.width, image.height, colour(image.mode));
    let mut out = Cursor::new(Vec::new());
    match format {
        EncodeFormat::Png => PngEncoder::new(&mut out).write_image(&samples, width, height, colour),
        EncodeFormat::Jpeg { quality } => {
            JpegEncoder::new_with_quality(&mut out, quality).write_image(&samples, width, height, colour)
        }
        EncodeFormat::WebP => WebPEncoder::new_lossless(&mut out).write_image(&samples, width, height, colour),
        EncodeFormat::Bmp => BmpEncoder::new(&mut out).write_image(&samples, width, height, colour),
        EncodeFormat::Tiff => TiffEncoder::new(&mut out).write_image(&samples, width, height, colour),
        EncodeFormat::Gif => GifEncoder::new(&mut out).encode(&samples, width, height, colour),
    }
    .map_err(|e: ImageError| {
        let what = format!("an image of {width} x {height} pixels cannot be encoded as {format}: {e}");
        Error::new(ErrorKind::Unsupported, what).source(e)
    })?;
    Ok(out.into_inner())
}

/// The samples as the `image` crate wants them: bytes in the machine's order.
fn native_bytes(samples: &Samples) -> std::borrow::Cow<'_, [u8]> {
    match samples {
        Samples::U8(s) => s.into(),
        Samples::U16(s) => s.iter().flat_map(|v| v.to_ne_bytes()).collect(),
        Samples::F32(s) => s.iter().flat_map(|v| v.to_ne_bytes()).collect(),
    }
}

fn colour(mode: Mode) -> ExtendedColorType {
    match mode {
        Mode::L => ExtendedColorType::L8,
        Mode::La => ExtendedColorType::La8,
        Mode::Rgb => ExtendedColorType::Rgb8,
        Mode::Rgba => ExtendedColorType::Rgba8,
        Mode::L16 => ExtendedColorType::L16,
        Mode::La16 => ExtendedColorType::La16,
        Mode::Rgb16 => ExtendedColorType::Rgb16,
        Mode::Rgba16 => ExtendedColorType::Rgba16,
        Mode::Rgb32F => ExtendedColorType::Rgb32F,
        Mode::Rgba32F => ExtendedColorType::Rgba32F,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        image::{DecodeOptions, SampleType, decode, sniff},
        options::Alpha,
    };

    const ALL: [EncodeFormat; 6] = [
        EncodeFormat::Png,
        EncodeFormat::Jpeg { quality: 90 },
        EncodeFormat::WebP,
        EncodeFormat::Bmp,
        EncodeFormat::Tiff,
        EncodeFormat::Gif,
    ];

    fn image(mode: Mode) -> Image {
        let n = 4 * 3 * mode.channels();
        let samples = match mode.sample_type() {
            SampleType::U8 => Samples::U8((0..n).map(|i| (i * 5) as u8 | 128).collect()),
            SampleType::U16 => Samples::U16((0..n).map(|i| (i * 1001) as u16 | 1).collect()),
            SampleType::F32 => Samples::F32((0..n).map(|i| i as f32 / n as f32).collect()),
        };
        Image::new(mode, 4, 3, samples).unwrap()
    }

    #[test]
    fn lossless_formats_give_back_every_mode_that_they_hold() {
        for format in [EncodeFormat::Png, EncodeFormat::WebP, EncodeFormat::Bmp, EncodeFormat::Tiff] {
            for mode in format.modes() {
                let before = image(*mode);
                let bytes = encode(&before, format).unwrap();
                assert_eq!(sniff(&bytes), Some(format.format()));
                let after = decode(&bytes, &DecodeOptions::default()).unwrap();
                // WebP and BMP store grey as colours.
                assert_eq!(after.convert(*mode, Alpha::Drop), before, "{format} {mode}");
            }
        }
    }

    #[test]
    fn lossy_formats_keep_the_size() {
        for format in [EncodeFormat::Jpeg { quality: 90 }, EncodeFormat::Gif] {
            for mode in format.modes() {
                let after = decode(&encode(&image(*mode), format).unwrap(), &DecodeOptions::default()).unwrap();
                assert_eq!((after.width(), after.height()), (4, 3), "{format} {mode}");
            }
        }
    }

    #[test]
    fn a_mode_that_a_format_lacks_is_an_error_that_names_those_it_has() {
        for format in ALL {
            for mode in Mode::ALL.into_iter().filter(|mode| !format.modes().contains(mode)) {
                let error = encode(&image(mode), format).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unsupported);
                assert!(error.hint_text().unwrap().contains("RGB"), "{error}");
            }
        }
    }

    #[test]
    fn a_jpeg_quality_is_1_to_100() {
        for quality in [0, 101] {
            let error = encode(&image(Mode::Rgb), EncodeFormat::Jpeg { quality }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadOption);
        }
    }
}
