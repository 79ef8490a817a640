//! What a file may ask for before its pixels are allocated, and how long it may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// Bounds on one image, checked against its header before any pixel is allocated.
///
/// A few hundred bytes can claim a picture of many gigabytes. The defaults let every honest photograph through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Width times height. Default 178 956 970, where PIL warns of a decompression bomb (half a gigabyte as RGB).
    pub max_pixels: u64,
    /// The longer side in pixels. Default 65 535, the most that JPEG can say.
    pub max_side: u32,
    /// The encoded file in bytes. Default 512 MiB.
    pub max_bytes: u64,
    /// All memory that an image takes at a time, in bytes: its samples, what decoders work in, the same picture turned upright or
    /// converted, and the RGB that it becomes. Not the encoded file. Default 384 MiB, so that a thread that prepares images for a
    /// model stays below 512 MiB with any file of up to 64 MiB.
    pub max_alloc: u64,
    /// How long decoding may take. Default 30 seconds; a photo takes a fraction of one. Time is looked at between rows, scans, frames
    /// and pieces of the file, so that an image may take a little longer before it is given up.
    pub max_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels: 178_956_970,
            max_side: 65_535,
            max_bytes: 512 << 20,
            max_alloc: 384 << 20,
            max_time: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// No bound at all: for images of one's own making.
    pub const NONE: Self = Self {
        max_pixels: u64::MAX,
        max_side: u32::MAX,
        max_bytes: u64::MAX,
        max_alloc: u64::MAX,
        max_time: Duration::MAX,
    };

    /// Refuses an encoded file of `bytes` bytes if that is too many.
    pub fn check_encoded(&self, bytes: u64) -> Result<()> {
        within("bytes of an encoded image", bytes, self.max_bytes, "max-bytes")
    }

    /// Refuses an image whose header says `width` x `height` with `bytes_per_pixel`.
    pub fn check_size(&self, width: u32, height: u32, bytes_per_pixel: u64) -> Result<()> {
        let pixels = u64::from(width) * u64::from(height);
        let size = |e: Error| e.context(format_args!("an image of {width} x {height} pixels"));
        within("pixels on one side", width.max(height).into(), self.max_side.into(), "max-side").map_err(size)?;
        within("pixels", pixels, self.max_pixels, "max-pixels").map_err(size)?;
        within("bytes once decoded", pixels.saturating_mul(bytes_per_pixel), self.max_alloc, "max-alloc").map_err(size)
    }

    /// Refuses an image that takes `bytes` bytes of memory at a time.
    pub fn check_memory(&self, bytes: u64) -> Result<()> {
        within("bytes of memory for the image", bytes, self.max_alloc, "max-alloc")
    }
}

fn within(what: &str, value: u64, limit: u64, option: &str) -> Result<()> {
    if value <= limit {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Limit, format!("{value} {what} is over the limit of {limit}"))
        .hint(format!("if the image is to be trusted, raise it with --{option} {value} (in Rust, `image::Limits`)")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_names_itself_the_value_and_the_option() {
        let limits = Limits { max_pixels: 100, max_side: 20, max_bytes: 10, max_alloc: 300, ..Limits::NONE };
        for (result, value, option) in [
            (limits.check_encoded(11), "11", "--max-bytes"),
            (limits.check_size(21, 1, 1), "21", "--max-side"),
            (limits.check_size(11, 10, 1), "110", "--max-pixels"),
            (limits.check_size(10, 10, 4), "400", "--max-alloc"),
            (limits.check_memory(301), "301", "--max-alloc"),
        ] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit);
            assert!(error.message().contains(value), "{error}");
            assert!(error.hint_text().unwrap().contains(option), "{error}");
        }
        assert!(limits.check_size(10, 10, 3).is_ok());
    }

    #[test]
    fn the_largest_header_does_not_overflow() {
        assert!(Limits::NONE.check_size(u32::MAX, u32::MAX, 16).is_ok());
        assert!(Limits::default().check_size(u32::MAX, u32::MAX, 16).is_err());
    }
}
