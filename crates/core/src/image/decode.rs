//! From an encoded file to pixels.
//!
//! The format is found in the content. The header is read first and held against the [`Limits`]; only then are pixels
//! allocated. A file that ends too early is an error, as a picture that is half grey would be a wrong answer.
//!
//! [`jpeg`] is our own decoder. [`png`], [`gif`], [`webp`], [`tiff`] and [`ico`] drive the usual crates, but choose frames, lay
//! them over each other and turn samples into colours as PIL does. [`bmp`] undoes run lengths itself, [`exr`] bounds what blocks ask
//! for, and [`plain`] is all other formats. [`task`] is what all of them share: options, and how much memory and time are left.

mod bmp;
mod canvas;
mod exr;
mod failure;
mod frames;
mod gif;
mod icc;
mod ico;
mod jpeg;
mod metadata;
mod plain;
mod png;
mod task;
mod tiff;
mod timed;
mod webp;

use std::panic::AssertUnwindSafe;

use serde::{Deserialize, Serialize};

use self::task::Task;
use super::{Format, Image, Limits, Orientation, format::describe, recycled, sniff};
use crate::{Error, ErrorKind, Result, options::Icc, preprocess::Size};

/// How to decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecodeOptions {
    /// What a file may ask for.
    pub limits: Limits,
    /// Turn the image upright as its EXIF orientation says. Default true.
    pub exif_orientation: bool,
    /// What becomes of an embedded colour profile. Default: ignored, as PIL does. A profile that is broken, or not for the
    /// picture's kind of colours, is ignored either way: it is no reason to lose the picture.
    pub icc: Icc,
    /// Which frame of an animation or page of a document, from 0. Default 0. One that the file does not have is an error.
    pub frame: u32,
    /// Take what there is of a file that ends too early, the rest grey or black. Default false: such a file is an error.
    pub allow_truncated: bool,
    /// Decode a JPEG at 1/2, 1/4 or 1/8 of its size, sides rounded up: the smallest of these that is still at least so high
    /// and wide, upright if [`exif_orientation`](Self::exif_orientation) is set. Default `None`: as large as it is, which is
    /// also what a JPEG becomes that is too small already, and a picture of any other format.
    ///
    /// The pixels are those that libjpeg-turbo makes with the same scale, bit for bit, and Pillow after `Image.draft`. They
    /// are not those of the whole picture resized: [`Preprocess::decode_reduced`](crate::preprocess::Preprocess::decode_reduced)
    /// tells how far the difference goes. Limits are held against the size of the whole picture.
    #[serde(default)]
    pub at_least: Option<Size>,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            exif_orientation: true,
            icc: Icc::Ignore,
            frame: 0,
            allow_truncated: false,
            at_least: None,
        }
    }
}

/// Decodes an image of any [`Format`]; of animations and documents the frame or page that [`DecodeOptions::frame`] names.
///
/// The mode is the file's own where there is one for it: grey stays grey, 16 bits stay 16 bits, alpha stays. Palettes become
/// RGB or RGBA, CMYK becomes RGB. A JPEG's samples are PIL's, bit for bit. A frame comes as it is shown: over the ones before it.
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
    let task = Task::new(options);
    if format != Format::Jpeg {
        // Only JPEGs take it, and it would count to nobody's limit.
        recycled::forget();
    }
    // Decoders are many and their inputs hostile: a bug in one of them is the file's error, not the program's end.
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| decode_for(bytes, format, &task)))
        .unwrap_or_else(|_| Err(failure::damaged(format, bytes, "the decoder panicked on it")));
    // Whatever came of it: decoders wrap the error that stopped them in errors of their own, or take it for the file's end.
    task.check_time(format)?;
    result
}

fn decode_for(bytes: &[u8], format: Format, task: &Task) -> Result<Image> {
    let Decoded { mut image, orientation, profile } = decode_format(bytes, format, task)?;
    if image.samples().is_empty() {
        return Err(failure::damaged(format, bytes, "its width or height is 0"));
    }
    let pixels = u64::from(image.width()) * u64::from(image.height());
    let own = image.mode().bytes_per_pixel() as u64;
    if let Some(profile) = profile
        && task.icc == Icc::Srgb
    {
        // Colour where there was grey.
        let most = own + own.max(3 * image.mode().sample_type().bytes() as u64);
        task.check_memory(pixels.saturating_mul(most)).map_err(|e| e.context("its colours in sRGB"))?;
        image = icc::to_srgb(image, &profile);
    }
    if !task.exif_orientation {
        return Ok(image);
    }
    if orientation.swaps_sides() {
        task.check_memory(pixels.saturating_mul(2 * own)).map_err(|e| e.context("the picture turned upright"))?;
    }
    image.oriented(orientation)
}

/// The size that [`decode`] gives a JPEG if [`DecodeOptions::at_least`] asks for nothing less, read from its header alone.
///
/// `None` for files of other formats, which are not decoded at other sizes than their own, and for headers that are damaged.
pub fn jpeg_size(bytes: &[u8], options: &DecodeOptions) -> Option<Size> {
    if sniff(bytes) == Some(Format::Jpeg) { jpeg::full_size(bytes, options) } else { None }
}

/// A picture as its file stores it.
struct Decoded {
    image: Image,
    orientation: Orientation,
    /// The ICC profile of its colours, unless they are sRGB by now. Only looked for where it is wanted.
    profile: Option<Vec<u8>>,
}

fn decode_format(bytes: &[u8], format: Format, task: &Task) -> Result<Decoded> {
    match format {
        Format::Png => png::decode(bytes, task),
        Format::Gif => gif::decode(bytes, task),
        Format::WebP => webp::decode(bytes, task),
        Format::Tiff => tiff::decode(bytes, task),
        _ if task.frame > 0 => Err(frames::missing(format, task.frame, 1)),
        Format::Jpeg => jpeg::decode(bytes, task),
        Format::Bmp => bmp::decode(bytes, task),
        Format::Ico => ico::decode(bytes, task),
        Format::Exr => exr::decode(bytes, task),
        _ => plain::decode(bytes, format, task),
    }
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
