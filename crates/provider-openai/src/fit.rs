//! An image is sent as it is, unless something about it demands otherwise.
//!
//! What demands: more bytes or pixels than the service or the user allows, an EXIF orientation to be applied, transparency to
//! be removed, 16 bits a sample, a colour profile to be converted, another frame than the first. Services treat the last five
//! each in a way of their own, and a picture and the options `exif_orientation`, `alpha`, `icc` and `frame` mean the same for
//! every provider. An image that
//! is made anew is also shrunk to what the model looks at, where that is known, as it costs no more then.

use std::io::Cursor;

use image::{
    ColorType, ImageDecoder, ImageFormat, ImageReader,
    codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder},
    metadata::Orientation as Turn,
};
use imbed_core::{
    EmbedOptions, EncodedImage, Error, ErrorKind, Result,
    image::{DecodeOptions, EncodeFormat, Format, Image, Limits as DecodeLimits, Mode, decode, encode, sniff},
    options::{Alpha, Icc},
    preprocess::Size,
};

use crate::{
    limits::{Limits, Weight},
    models::{Used, shrink, within},
};

/// Quality of a JPEG that stands in for a PNG that is too large.
const QUALITY: u8 = 95;

/// What images are held against.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    image_bytes: u64,
    image_pixels: u64,
    used: Used,
    alpha: Alpha,
    decode: DecodeOptions,
}

/// An image as it is sent.
#[derive(Debug)]
pub(crate) struct Fitted {
    pub(crate) image: EncodedImage,
    pub(crate) weight: Weight,
}

/// What a file says of itself before its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    size: Size,
    upright: bool,
    profile: bool,
    colour: ColorType,
}

impl Fit {
    /// `used` is what the model makes of an image's size; `most_pixels` is what the user allows to be sent.
    pub(crate) fn new(limits: &Limits, used: Used, most_pixels: Option<u64>, options: &EmbedOptions) -> Self {
        Self {
            image_bytes: limits.image_bytes,
            image_pixels: most_pixels.map_or(limits.image_pixels, |most| most.min(limits.image_pixels)),
            used,
            alpha: options.alpha,
            decode: DecodeOptions {
                exif_orientation: options.exif_orientation,
                icc: options.icc,
                frame: options.frame,
                ..DecodeOptions::default()
            },
        }
    }

    /// The image as it is to be sent.
    pub(crate) fn fit(&self, image: EncodedImage) -> Result<Fitted> {
        let format = sniff(&image.bytes);
        let header = format.and_then(|format| Header::read(&image.bytes, format));
        let as_it_is = header.filter(|header| !self.demands(*header, &image.bytes, format));
        if let Some(header) = as_it_is
            && !header.colour.has_alpha()
        {
            return Ok(Fitted::new(image, header.size));
        }
        // A page of a document comes here as a picture of its own.
        let still = !format.is_some_and(|format| has_frames(&image.bytes, format));
        let options = DecodeOptions { frame: if still { 0 } else { self.decode.frame }, ..self.decode };
        let decoded = decode(&image.bytes, &options)?;
        // Many files have room for transparency and make no use of it.
        if let Some(header) = as_it_is
            && is_opaque(&decoded)
        {
            return Ok(Fitted::new(image, header.size));
        }
        self.make(&decoded)
    }

    /// Whether anything but transparency keeps the file from being sent as it is.
    fn demands(&self, header: Header, bytes: &[u8], format: Option<Format>) -> bool {
        let pixels = u64::from(header.size.width) * u64::from(header.size.height);
        bytes.len() as u64 > self.image_bytes
            || pixels > self.image_pixels
            || (self.decode.exif_orientation && !header.upright)
            // 16-bit grey comes out white in a service that uses PIL.
            || header.colour.bytes_per_pixel() > header.colour.channel_count()
            || (self.decode.icc == Icc::Srgb && header.profile)
            || (self.decode.frame > 0 && format.is_some_and(|format| has_frames(bytes, format)))
    }

    /// A new file of `image`: PNG, or JPEG where that would be too large, or fewer pixels where that would be too.
    fn make(&self, image: &Image) -> Result<Fitted> {
        let from = Size { height: image.height(), width: image.width() };
        let mut size = within(self.used.size_for(from), self.image_pixels);
        let mut image = shrink(image.convert(Mode::Rgb, self.alpha), size)?;
        loop {
            for format in [EncodeFormat::Png, EncodeFormat::Jpeg { quality: QUALITY }] {
                let bytes = encode(&image, format)?;
                if bytes.len() as u64 <= self.image_bytes {
                    let media_type = format.format().media_type();
                    return Ok(Fitted::new(EncodedImage { bytes: bytes.into(), media_type }, size));
                }
            }
            let pixels = u64::from(size.width) * u64::from(size.height);
            if pixels <= 1 {
                return Err(Error::new(
                    ErrorKind::Limit,
                    format!("no image is small enough for {} bytes", self.image_bytes),
                ));
            }
            size = within(size, pixels / 2);
            image = shrink(image, size)?;
        }
    }
}

impl Fitted {
    fn new(image: EncodedImage, size: Size) -> Self {
        let weight = Weight { bytes: image.bytes.len() as u64, pixels: u64::from(size.width) * u64::from(size.height) };
        Self { image, weight }
    }
}

impl Header {
    /// `None` where it cannot be read here; the image is then made anew from its pixels.
    fn read(bytes: &[u8], format: Format) -> Option<Self> {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), image_format(format)?);
        let mut limits = image::Limits::no_limits();
        limits.max_alloc = Some(DecodeLimits::default().max_alloc);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().ok()?;
        let (width, height) = decoder.dimensions();
        let exif = decoder.exif_metadata().ok().flatten().unwrap_or_default();
        // Some programs put a JPEG's segment name before it in other formats too.
        let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif);
        let upright = if let Some(turn) = Turn::from_exif_chunk(exif) {
            turn == Turn::NoTransforms
        } else {
            // Where EXIF says nothing, XMP may; whether it means a turn is for the decoder to find out.
            let xmp = decoder.xmp_metadata().ok().flatten().unwrap_or_default();
            !xmp.windows(11).any(|w| w == b"Orientation")
        };
        Some(Self {
            size: Size { height, width },
            upright,
            profile: decoder.icc_profile().ok()?.is_some(),
            colour: decoder.color_type(),
        })
    }
}

fn image_format(format: Format) -> Option<ImageFormat> {
    Some(match format {
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Png => ImageFormat::Png,
        Format::Gif => ImageFormat::Gif,
        Format::WebP => ImageFormat::WebP,
        _ => return None,
    })
}

/// Whether the file is an animation.
fn has_frames(bytes: &[u8], format: Format) -> bool {
    match format {
        Format::Png => PngDecoder::new(Cursor::new(bytes)).is_ok_and(|png| png.is_apng().unwrap_or(false)),
        Format::WebP => WebPDecoder::new(Cursor::new(bytes)).is_ok_and(|webp| webp.has_animation()),
        Format::Gif => GifDecoder::new(Cursor::new(bytes)).is_ok(),
        _ => false,
    }
}

/// Whether no pixel of `image` lets anything through.
fn is_opaque(image: &Image) -> bool {
    if !image.mode().has_alpha() {
        return true;
    }
    let rgba = image.convert(Mode::Rgba, Alpha::Drop);
    rgba.as_u8().is_some_and(|samples| samples.chunks_exact(4).all(|pixel| pixel[3] == 255))
}

#[cfg(test)]
mod tests {
    use imbed_core::image::Samples;

    use super::*;

    /// An EXIF block that says nothing but an orientation.
    fn exif(orientation: u8) -> Vec<u8> {
        let mut block = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        block.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        block
    }

    fn noise(width: u32, height: u32, mode: Mode) -> Image {
        let mut state = 1u32;
        let samples = (0..width as usize * height as usize * mode.channels()).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        Image::new(mode, width, height, Samples::U8(samples.collect())).unwrap()
    }

    fn png(image: &Image) -> EncodedImage {
        EncodedImage { bytes: encode(image, EncodeFormat::Png).unwrap().into(), media_type: "image/png" }
    }

    fn jpeg_with(orientation: u8) -> EncodedImage {
        let plain = encode(&noise(24, 16, Mode::Rgb), EncodeFormat::Jpeg { quality: 90 }).unwrap();
        let bytes = [&plain[..2], &exif(orientation), &plain[2..]].concat();
        EncodedImage { bytes: bytes.into(), media_type: "image/jpeg" }
    }

    fn fit(limits: Limits, used: Used, options: &EmbedOptions) -> Fit {
        Fit::new(&limits, used, None, options)
    }

    fn unlimited() -> Fit {
        fit(Limits::NONE, Used::ShortestEdge(8), &EmbedOptions::default())
    }

    fn size(fitted: &Fitted) -> (u32, u32) {
        let image = decode(&fitted.image.bytes, &DecodeOptions::default()).unwrap();
        assert_eq!(u64::from(image.width()) * u64::from(image.height()), fitted.weight.pixels);
        (image.width(), image.height())
    }

    #[test]
    fn an_image_without_demands_is_sent_byte_for_byte() {
        for image in [png(&noise(30, 20, Mode::Rgb)), png(&noise(30, 20, Mode::L)), jpeg_with(1)] {
            let fitted = unlimited().fit(image.clone()).unwrap();
            assert_eq!(fitted.image.bytes, image.bytes);
            assert_eq!(fitted.weight.bytes, image.bytes.len() as u64);
        }
    }

    #[test]
    fn an_orientation_is_applied_unless_it_is_not_wanted() {
        let image = jpeg_with(6);
        let fitted = fit(Limits::NONE, Used::Unknown, &EmbedOptions::default()).fit(image.clone()).unwrap();
        assert_eq!((size(&fitted), fitted.image.media_type), ((16, 24), "image/png"));
        let as_stored = EmbedOptions { exif_orientation: false, ..EmbedOptions::default() };
        assert_eq!(fit(Limits::NONE, Used::Unknown, &as_stored).fit(image.clone()).unwrap().image.bytes, image.bytes);
    }

    #[test]
    fn transparency_is_removed_as_the_option_says_and_opaque_images_are_left_alone() {
        let clear = Image::new(Mode::Rgba, 1, 1, Samples::U8(vec![10, 20, 30, 0])).unwrap();
        for (alpha, expected) in [(Alpha::Drop, [10, 20, 30]), (Alpha::Over([255; 3]), [255; 3])] {
            let fit = fit(Limits::NONE, Used::Unknown, &EmbedOptions { alpha, ..EmbedOptions::default() });
            let sent = decode(&fit.fit(png(&clear)).unwrap().image.bytes, &DecodeOptions::default()).unwrap();
            assert_eq!((sent.mode(), sent.as_u8().unwrap()), (Mode::Rgb, &expected[..]));
        }
        let opaque = png(&Image::new(Mode::Rgba, 1, 1, Samples::U8(vec![10, 20, 30, 255])).unwrap());
        assert_eq!(unlimited().fit(opaque.clone()).unwrap().image.bytes, opaque.bytes);
    }

    /// A GIF of one red and one green frame.
    fn animation() -> EncodedImage {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        for colour in [[255, 0, 0, 255], [0, 255, 0, 255]] {
            let frame = image::RgbaImage::from_pixel(2, 2, image::Rgba(colour));
            encoder.encode_frame(image::Frame::new(frame)).unwrap();
        }
        drop(encoder);
        EncodedImage { bytes: bytes.into(), media_type: "image/gif" }
    }

    #[test]
    fn another_frame_than_the_first_is_sent_by_itself_and_stills_have_none() {
        let second = fit(Limits::NONE, Used::Unknown, &EmbedOptions { frame: 1, ..EmbedOptions::default() });
        let sent = second.fit(animation()).unwrap().image;
        let decoded = decode(&sent.bytes, &DecodeOptions::default()).unwrap();
        assert_eq!((sent.media_type, &decoded.as_u8().unwrap()[..3]), ("image/png", &[0, 255, 0][..]));
        assert_eq!(unlimited().fit(animation()).unwrap().image.bytes, animation().bytes);
        // As the engine makes it of a document's second page.
        let page = png(&Image::new(Mode::Rgba, 1, 1, Samples::U8(vec![10, 20, 30, 0])).unwrap());
        assert_eq!(second.fit(page).unwrap().image.media_type, "image/png");
    }

    #[test]
    fn sixteen_bits_become_eight_by_our_own_rule() {
        let grey = Image::new(Mode::L16, 2, 1, Samples::U16(vec![0x8000, 0x1234])).unwrap();
        let sent = decode(&unlimited().fit(png(&grey)).unwrap().image.bytes, &DecodeOptions::default()).unwrap();
        assert_eq!(sent, grey.convert(Mode::Rgb, Alpha::Drop));
    }

    #[test]
    fn too_many_pixels_are_shrunk_to_what_the_model_uses_or_the_limit() {
        let image = png(&noise(60, 40, Mode::Rgb));
        let limits = Limits { image_pixels: 2000, ..Limits::NONE };
        let options = EmbedOptions::default();
        assert_eq!(size(&fit(limits, Used::ShortestEdge(8), &options).fit(image.clone()).unwrap()), (12, 8));
        assert_eq!(size(&fit(limits, Used::Unknown, &options).fit(image.clone()).unwrap()), (54, 36));
        let asked = Fit::new(&Limits::NONE, Used::Unknown, Some(600), &options);
        assert_eq!(size(&asked.fit(image).unwrap()), (30, 20));
    }

    #[test]
    fn too_many_bytes_become_a_jpeg_and_then_fewer_pixels() {
        let image = png(&noise(64, 64, Mode::Rgb));
        let options = EmbedOptions::default();
        let jpeg = encode(&noise(64, 64, Mode::Rgb), EncodeFormat::Jpeg { quality: QUALITY }).unwrap().len() as u64;
        assert!(jpeg < image.bytes.len() as u64);
        let fitted =
            fit(Limits { image_bytes: jpeg, ..Limits::NONE }, Used::Unknown, &options).fit(image.clone()).unwrap();
        assert_eq!((size(&fitted), fitted.image.media_type), ((64, 64), "image/jpeg"));
        let small = fit(Limits { image_bytes: 2000, ..Limits::NONE }, Used::Unknown, &options).fit(image).unwrap();
        assert!(small.image.bytes.len() <= 2000 && size(&small).0 < 64);
        let never = fit(Limits { image_bytes: 10, ..Limits::NONE }, Used::Unknown, &options);
        assert_eq!(never.fit(png(&noise(64, 64, Mode::Rgb))).unwrap_err().kind(), ErrorKind::Limit);
    }

    #[test]
    fn bytes_that_are_no_image_are_an_error() {
        let broken = EncodedImage { bytes: b"nothing"[..].into(), media_type: "image/png" };
        assert_eq!(unlimited().fit(broken).unwrap_err().kind(), ErrorKind::Decode);
    }
}
