//! The formats that the crate `image` decodes just as they are: one picture, no profile.

use std::io::Cursor;

use image::{ColorType, ImageDecoder, ImageFormat, ImageReader};

use super::{DecodeOptions, Decoded, failure, metadata, task::Task, timed::Timed};
use crate::{
    Error, ErrorKind, Result,
    image::{Format, Image, Mode, Orientation, Samples},
    options::Icc,
};

pub(super) fn decode(bytes: &[u8], format: Format, task: &Task) -> Result<Decoded> {
    let failed = |e| failure::of_image_crate(format, bytes, e);
    let mut reader = ImageReader::with_format(Timed::new(Cursor::new(bytes), task), image_format(format)?);
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(task.limits.max_alloc);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let orientation = orientation(&mut decoder, task);
    let profile = if task.icc == Icc::Srgb { decoder.icc_profile().ok().flatten() } else { None };
    Ok(Decoded { image: pixels(decoder, bytes, format, task)?, orientation, profile })
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

/// Bytes that a decoder takes for each pixel, those of the samples that it gives among them.
fn working(bytes: &[u8], format: Format, mode: Mode) -> u64 {
    let own = mode.bytes_per_pixel() as u64;
    match format {
        // Lossy: planes of samples. Lossy with alpha: that as a lossless picture too. Lossless without alpha: with alpha first.
        Format::WebP if bytes.get(12..16) == Some(b"VP8 ") => 5,
        Format::WebP if mode.has_alpha() => 11,
        Format::WebP => 8,
        // A copy of what the file holds.
        Format::Pnm | Format::Tga => 2 * own,
        // Its pixels, colours without alpha and with one, and the alpha.
        Format::Ico => 9,
        _ => own,
    }
}

/// The pixels of a decoder of the crate `image`, after its size has been held against the limits.
pub(super) fn pixels(decoder: impl ImageDecoder, bytes: &[u8], format: Format, task: &Task) -> Result<Image> {
    let (width, height) = decoder.dimensions();
    let mode = mode(decoder.color_type()).ok_or_else(|| {
        let what = format!("a {format} with {:?} pixels is not decoded", decoder.color_type());
        Error::new(ErrorKind::Unsupported, what)
    })?;
    task.check_picture(width, height, mode, working(bytes, format, mode))?;
    let mut samples = Samples::zeros(mode.sample_type(), width as usize * height as usize * mode.channels());
    match decoder.read_image(samples.bytes_mut()) {
        Err(e) if task.allow_truncated && failure::is_truncation(&e) => {}
        result => result.map_err(|e| failure::of_image_crate(format, bytes, e))?,
    }
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
        Format::Farbfeld => ImageFormat::Farbfeld,
        Format::Jpeg | Format::Png | Format::Gif | Format::Tiff | Format::Ico | Format::Exr => {
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
