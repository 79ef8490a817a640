//! What to say when a decoder gives up.

use std::{error::Error as _, io};

use image::ImageError;

use crate::{Error, ErrorKind, image::Format};

const AGAIN: &str = "fetch or copy the file again; --on-error ignore makes such rows null and goes on";

/// A file that ends before its picture does.
pub(super) fn truncated(format: Format, bytes: &[u8]) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!("the {format} is cut off: the picture goes on after its {} bytes", bytes.len()),
    )
    .hint(AGAIN)
}

/// A file that contradicts its format.
pub(super) fn damaged(format: Format, bytes: &[u8], why: &str) -> Error {
    Error::new(ErrorKind::Decode, format!("the {format} of {} bytes is damaged: {why}", bytes.len())).hint(AGAIN)
}

/// A variant of a format that is not decoded.
pub(super) fn unsupported(format: Format, why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("this variant of {format} is not decoded: {why}"))
        .hint("save it again in a common variant")
}

/// A decoder that would need too much memory.
pub(super) fn too_large(format: Format, why: &str) -> Error {
    Error::new(ErrorKind::Limit, format!("decoding the {format} takes more memory than allowed: {why}"))
        .hint("if the image is to be trusted, raise --max-alloc (in Rust, `image::Limits`)")
}

/// The error of one of the `image` crate's decoders.
pub(super) fn of_image_crate(format: Format, bytes: &[u8], error: ImageError) -> Error {
    match error {
        ImageError::Limits(_) => too_large(format, &error.to_string()),
        ImageError::Unsupported(_) => unsupported(format, &error.to_string()),
        _ if is_truncation(&error) => truncated(format, bytes),
        _ => damaged(format, bytes, &error.to_string()),
    }
    .source(error)
}

/// Whether the decoder wanted more bytes than there are.
pub(super) fn is_truncation(error: &ImageError) -> bool {
    let mut next: Option<&dyn std::error::Error> = match error {
        ImageError::IoError(e) => Some(e),
        e => e.source(),
    };
    while let Some(error) = next {
        if let Some(e) = error.downcast_ref::<io::Error>() {
            if e.kind() == io::ErrorKind::UnexpectedEof {
                return true;
            }
            // An `io::Error` shows the source of what it wraps and not the wrapped error itself.
            next = e.get_ref().map(|inner| inner as &dyn std::error::Error);
        } else {
            next = error.source();
        }
    }
    false
}

/// The error of the crate `gif`.
pub(super) fn of_gif_crate(bytes: &[u8], error: gif::DecodingError) -> Error {
    match error {
        gif::DecodingError::OutOfMemory | gif::DecodingError::MemoryLimit => too_large(Format::Gif, &error.to_string()),
        _ if is_gif_truncation(&error) => truncated(Format::Gif, bytes),
        _ => damaged(Format::Gif, bytes, &error.to_string()),
    }
    .source(error)
}

/// Whether the decoder wanted more bytes than there are.
fn is_gif_truncation(error: &gif::DecodingError) -> bool {
    match error {
        gif::DecodingError::UnexpectedEof => true,
        gif::DecodingError::Io(e) => e.kind() == io::ErrorKind::UnexpectedEof,
        _ => false,
    }
}

/// The error of the crate `png`.
pub(super) fn of_png_crate(bytes: &[u8], error: png::DecodingError) -> Error {
    match &error {
        png::DecodingError::LimitsExceeded => too_large(Format::Png, &error.to_string()),
        _ if is_png_truncation(&error) => truncated(Format::Png, bytes),
        _ => damaged(Format::Png, bytes, &error.to_string()),
    }
    .source(error)
}

/// Whether the decoder wanted more bytes than there are.
pub(super) fn is_png_truncation(error: &png::DecodingError) -> bool {
    matches!(error, png::DecodingError::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof)
}

/// The error of the crate `exr`.
pub(super) fn of_exr_crate(bytes: &[u8], error: exr::error::Error) -> Error {
    match &error {
        exr::error::Error::NotSupported(what) => unsupported(Format::Exr, what),
        _ if is_exr_truncation(&error) => truncated(Format::Exr, bytes),
        exr::error::Error::Invalid(what) => damaged(Format::Exr, bytes, what),
        _ => damaged(Format::Exr, bytes, &error.to_string()),
    }
    .source(error)
}

/// Whether the decoder wanted more bytes than there are: it has a kind for that, and makes words of it.
pub(super) fn is_exr_truncation(error: &exr::error::Error) -> bool {
    matches!(error, exr::error::Error::Invalid(what) if what == "reference to missing bytes")
}

/// The error of the crate `tiff`.
pub(super) fn of_tiff_crate(bytes: &[u8], error: tiff::TiffError) -> Error {
    match &error {
        tiff::TiffError::LimitsExceeded => too_large(Format::Tiff, &error.to_string()),
        tiff::TiffError::UnsupportedError(what) => unsupported(Format::Tiff, &what.to_string()),
        _ if is_tiff_truncation(&error) => truncated(Format::Tiff, bytes),
        _ => damaged(Format::Tiff, bytes, &error.to_string()),
    }
    .source(error)
}

/// Whether the decoder wanted more bytes than there are.
pub(super) fn is_tiff_truncation(error: &tiff::TiffError) -> bool {
    matches!(error, tiff::TiffError::IoError(e) if e.kind() == io::ErrorKind::UnexpectedEof)
}
