//! The formats that the crate `image` decodes just as they are: one picture, no profile.

use std::io::Cursor;

use image::{ColorType, ImageDecoder, ImageFormat, ImageReader};

use super::{DecodeOptions, Decoded, failure, metadata};
use crate::{
    Error, ErrorKind, Result,
    image::{Format, Image, Mode, Orientation, SampleType, Samples},
};

pub(super) fn decode(bytes: &[u8], format: Format, options: &DecodeOptions) -> Result<Decoded> {
    let failed = |e| failure::of_image_crate(format, bytes, e);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), image_format(format)?);
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(options.limits.max_alloc);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let orientation = orientation(&mut decoder, options);
    let profile = if options.icc == crate::options::Icc::Srgb { decoder.icc_profile().ok().flatten() } else { None };
    Ok(Decoded { image: pixels(decoder, bytes, format, options)?, orientation, profile })
}

/// What EXIF says, or else XMP. Metadata that cannot be read is no reason to lose the picture.
fn orientation(decoder: &mut impl ImageDecoder, options: &DecodeOptions) -> Orientation {
    if !options.exif_orientation {
        return Orientation::Upright;
    }
    let exif = decoder.exif_metadata().ok().flatten();
    let xmp = decoder.xmp_metadata().ok().flatten();
    metadata::orientation(exif.as_deref(), xmp.as_deref())
}

/// The pixels of a decoder of the crate `image`, after its size has been held against the limits.
pub(super) fn pixels(
    decoder: impl ImageDecoder,
    bytes: &[u8],
    format: Format,
    options: &DecodeOptions,
) -> Result<Image> {
    let (width, height) = decoder.dimensions();
    let mode = mode(decoder.color_type()).ok_or_else(|| {
        let what = format!("a {format} with {:?} pixels is not decoded", decoder.color_type());
        Error::new(ErrorKind::Unsupported, what)
    })?;
    options.limits.check_size(width, height, mode.bytes_per_pixel() as u64)?;
    let mut samples = vec![0; width as usize * height as usize * mode.bytes_per_pixel()];
    match decoder.read_image(&mut samples) {
        Err(e) if options.allow_truncated && failure::is_truncation(&e) => {}
        result => result.map_err(|e| failure::of_image_crate(format, bytes, e))?,
    }
    let samples = match mode.sample_type() {
        SampleType::U8 => Samples::U8(samples),
        SampleType::U16 => Samples::U16(samples.as_chunks().0.iter().map(|b| u16::from_ne_bytes(*b)).collect()),
        SampleType::F32 => Samples::F32(samples.as_chunks().0.iter().map(|b| f32::from_ne_bytes(*b)).collect()),
    };
    Image::new(mode, width, height, samples)
}

fn image_format(format: Format) -> Result<ImageFormat> {
    Ok(match format {
        Format::WebP => ImageFormat::WebP,
        Format::Bmp => ImageFormat::Bmp,
        Format::Pnm => ImageFormat::Pnm,
        Format::Tga => ImageFormat::Tga,
        Format::Qoi => ImageFormat::Qoi,
        Format::Hdr => ImageFormat::Hdr,
        Format::Exr => ImageFormat::OpenExr,
        Format::Farbfeld => ImageFormat::Farbfeld,
        Format::Jpeg | Format::Png | Format::Gif | Format::Tiff | Format::Ico => {
            return Err(Error::new(ErrorKind::Internal, format!("{format} has a decoder of its own")));
        }
    })
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
