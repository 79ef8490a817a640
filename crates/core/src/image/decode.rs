//! From an encoded file to pixels.
//!
//! The format is found in the content. The header is read first and held against the [`Limits`]; only then are pixels
//! allocated. A file that ends too early is an error, as a picture that is half grey would be a wrong answer.

mod failure;
mod jpeg;

use std::{io::Cursor, panic::AssertUnwindSafe};

use image::{ColorType, ImageDecoder, ImageFormat, ImageReader};

use super::{Format, Image, Limits, Mode, Orientation, Samples, format::describe, sniff};
use crate::{Error, ErrorKind, Result, options::Icc};

/// How to decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeOptions {
    /// What a file may ask for.
    pub limits: Limits,
    /// Turn the image upright as its EXIF orientation says. Default true.
    pub exif_orientation: bool,
    /// What becomes of an embedded colour profile. Default: ignored, as PIL does.
    pub icc: Icc,
    /// Which frame of an animation or page of a document, from 0. Default 0.
    pub frame: u32,
    /// Take what there is of a file that ends too early, the rest grey or black. Default false: such a file is an error.
    pub allow_truncated: bool,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { limits: Limits::default(), exif_orientation: true, icc: Icc::Ignore, frame: 0, allow_truncated: false }
    }
}

/// Decodes an image of any [`Format`]; of animations and documents the first frame or page.
///
/// The mode is the file's own where there is one for it: grey stays grey, 16 bits stay 16 bits, alpha stays. Palettes become
/// RGB or RGBA, CMYK becomes RGB. A JPEG's samples are PIL's, bit for bit.
///
/// Errors are of kind [`Decode`](ErrorKind::Decode) (damaged, cut off, not an image), [`Unsupported`](ErrorKind::Unsupported)
/// (a format or variant that this build does not decode) or [`Limit`](ErrorKind::Limit). A JPEG counts as whole if its
/// end-of-image marker is there, which is what PIL asks; bytes after that marker are ignored.
///
/// ```
/// use imbed_core::image::{DecodeOptions, EncodeFormat, Image, Mode, Samples, decode, encode};
///
/// let image = Image::new(Mode::Rgb, 2, 1, Samples::U8(vec![255, 0, 0, 0, 0, 255]))?;
/// let file = encode(&image, EncodeFormat::Png)?;
/// assert_eq!(decode(&file, &DecodeOptions::default())?, image);
/// assert!(decode(&file[..40], &DecodeOptions::default()).is_err());
/// # Ok::<(), imbed_core::Error>(())
/// ```
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Image> {
    if bytes.is_empty() {
        return Err(Error::new(ErrorKind::Decode, "the file is empty"));
    }
    options.limits.check_encoded(bytes.len() as u64)?;
    let Some(format) = sniff(bytes) else { return Err(not_an_image(bytes)) };
    // Decoders are many and their inputs hostile: a bug in one of them is the file's error, not the program's end.
    let decoded = std::panic::catch_unwind(AssertUnwindSafe(|| match format {
        Format::Jpeg => jpeg::decode(bytes, options),
        _ => decode_with_image(bytes, format, options),
    }));
    let (image, orientation) =
        decoded.unwrap_or_else(|_| Err(failure::damaged(format, bytes, "the decoder panicked on it")))?;
    if options.exif_orientation { image.oriented(orientation) } else { Ok(image) }
}

fn not_an_image(bytes: &[u8]) -> Error {
    let formats = || Format::ALL.map(Format::as_str).join(", ");
    match describe(bytes) {
        Some(what) if what.ends_with(" image") => {
            Error::new(ErrorKind::Unsupported, format!("this is {what}, which this build does not decode"))
                .hint(format!("convert it first; formats that are decoded: {}", formats()))
        }
        Some(what) => Error::new(ErrorKind::Decode, format!("this is {what}, not an image")),
        None => {
            let start = bytes[..bytes.len().min(8)].escape_ascii();
            Error::new(
                ErrorKind::Decode,
                format!("this is not an image of a known format (it starts with \"{start}\")"),
            )
            .hint(format!("formats that are decoded: {}", formats()))
        }
    }
}

/// Every format but JPEG.
fn decode_with_image(bytes: &[u8], format: Format, options: &DecodeOptions) -> Result<(Image, Orientation)> {
    let failed = |e| failure::of_image_crate(format, bytes, e);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), image_format(format));
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(options.limits.max_alloc);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;

    let (width, height) = decoder.dimensions();
    let mode = mode(decoder.color_type()).ok_or_else(|| {
        let what = format!("a {format} with {:?} pixels is not decoded", decoder.color_type());
        Error::new(ErrorKind::Unsupported, what)
    })?;
    options.limits.check_size(width, height, mode.bytes_per_pixel() as u64)?;
    let orientation = if options.exif_orientation { orientation(&mut decoder) } else { Orientation::Upright };

    let mut samples = vec![0; width as usize * height as usize * mode.bytes_per_pixel()];
    match decoder.read_image(&mut samples) {
        Err(e) if options.allow_truncated && failure::is_truncation(&e) => {}
        result => result.map_err(failed)?,
    }
    let samples = match mode.sample_type() {
        super::SampleType::U8 => Samples::U8(samples),
        super::SampleType::U16 => Samples::U16(samples.as_chunks().0.iter().map(|b| u16::from_ne_bytes(*b)).collect()),
        super::SampleType::F32 => Samples::F32(samples.as_chunks().0.iter().map(|b| f32::from_ne_bytes(*b)).collect()),
    };
    Ok((Image::new(mode, width, height, samples)?, orientation))
}

/// What EXIF says, or else the format's own tag, or else XMP. Metadata that cannot be read is no reason to lose the picture.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    let exif = decoder.exif_metadata().ok().flatten();
    let found = exif
        .and_then(|exif| image::metadata::Orientation::from_exif_chunk(&exif))
        .or_else(|| decoder.orientation().ok().filter(|o| *o != image::metadata::Orientation::NoTransforms));
    match found {
        Some(found) => Orientation::from_exif(found.to_exif().into()),
        None => decoder.xmp_metadata().ok().flatten().and_then(|xmp| Orientation::from_xmp(&xmp)),
    }
    .unwrap_or_default()
}

fn image_format(format: Format) -> ImageFormat {
    match format {
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Png => ImageFormat::Png,
        Format::Gif => ImageFormat::Gif,
        Format::WebP => ImageFormat::WebP,
        Format::Bmp => ImageFormat::Bmp,
        Format::Tiff => ImageFormat::Tiff,
        Format::Ico => ImageFormat::Ico,
        Format::Pnm => ImageFormat::Pnm,
        Format::Tga => ImageFormat::Tga,
        Format::Qoi => ImageFormat::Qoi,
        Format::Hdr => ImageFormat::Hdr,
        Format::Exr => ImageFormat::OpenExr,
        Format::Farbfeld => ImageFormat::Farbfeld,
    }
}

fn mode(colour: ColorType) -> Option<Mode> {
    Some(match colour {
        ColorType::L8 => Mode::L,
        ColorType::La8 => Mode::La,
        ColorType::Rgb8 => Mode::Rgb,
        ColorType::Rgba8 => Mode::Rgba,
        ColorType::L16 => Mode::L16,
        ColorType::La16 => Mode::La16,
        ColorType::Rgb16 => Mode::Rgb16,
        ColorType::Rgba16 => Mode::Rgba16,
        ColorType::Rgb32F => Mode::Rgb32F,
        ColorType::Rgba32F => Mode::Rgba32F,
        _ => return None,
    })
}
