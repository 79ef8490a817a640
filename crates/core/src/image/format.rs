//! Which format a file is, by its content.

use std::fmt;

/// An image format that this build decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JPEG, baseline and progressive.
    Jpeg,
    /// PNG and APNG.
    Png,
    /// GIF.
    Gif,
    /// WebP, lossy and lossless, still and animated.
    WebP,
    /// Windows bitmap.
    Bmp,
    /// TIFF, any page.
    Tiff,
    /// Windows icon, the largest entry.
    Ico,
    /// PBM, PGM, PPM and PAM.
    Pnm,
    /// Truevision TGA.
    Tga,
    /// QOI.
    Qoi,
    /// Radiance HDR.
    Hdr,
    /// `OpenEXR`.
    Exr,
    /// Farbfeld.
    Farbfeld,
}

impl Format {
    /// Every format, in the order of the docs.
    pub const ALL: [Self; 13] = [
        Self::Jpeg,
        Self::Png,
        Self::Gif,
        Self::WebP,
        Self::Bmp,
        Self::Tiff,
        Self::Ico,
        Self::Pnm,
        Self::Tga,
        Self::Qoi,
        Self::Hdr,
        Self::Exr,
        Self::Farbfeld,
    ];

    /// The name in messages, such as `JPEG`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Ico => "ICO",
            Self::Pnm => "PNM",
            Self::Tga => "TGA",
            Self::Qoi => "QOI",
            Self::Hdr => "Radiance HDR",
            Self::Exr => "OpenEXR",
            Self::Farbfeld => "Farbfeld",
        }
    }

    /// The media type, such as `image/jpeg`: registered with IANA, or the customary one.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
            Self::Bmp => "image/bmp",
            Self::Tiff => "image/tiff",
            Self::Ico => "image/vnd.microsoft.icon",
            Self::Pnm => "image/x-portable-anymap",
            Self::Tga => "image/x-tga",
            Self::Qoi => "image/qoi",
            Self::Hdr => "image/vnd.radiance",
            Self::Exr => "image/x-exr",
            Self::Farbfeld => "image/x-farbfeld",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The format of an encoded image, by its first bytes and never by a file's name; `None` if no known format starts so.
pub fn sniff(bytes: &[u8]) -> Option<Format> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    Some(if starts(b"\xff\xd8\xff") {
        Format::Jpeg
    } else if starts(b"\x89PNG\r\n\x1a\n") {
        Format::Png
    } else if starts(b"GIF87a") || starts(b"GIF89a") {
        Format::Gif
    } else if starts(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Format::WebP
    } else if starts(b"II*\0") || starts(b"MM\0*") || starts(b"II+\0") || starts(b"MM\0+") {
        Format::Tiff
    } else if starts(b"qoif") {
        Format::Qoi
    } else if starts(b"#?RADIANCE") || starts(b"#?RGBE") {
        Format::Hdr
    } else if starts(b"\x76\x2f\x31\x01") {
        Format::Exr
    } else if starts(b"farbfeld") {
        Format::Farbfeld
    } else if is_bmp(bytes) {
        Format::Bmp
    } else if is_pnm(bytes) {
        Format::Pnm
    } else if is_ico(bytes) {
        Format::Ico
    } else if is_tga(bytes) {
        Format::Tga
    } else {
        return None;
    })
}

/// `BM`, and a length of the second header that some version of the format has: two letters alone also start texts.
fn is_bmp(bytes: &[u8]) -> bool {
    let header = |b: &[u8; 4]| matches!(u32::from_le_bytes(*b), 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124);
    bytes.starts_with(b"BM") && bytes[2..].get(12..16).and_then(|b| b.try_into().ok()).is_some_and(header)
}

/// `P1` to `P7` and white space or a comment.
fn is_pnm(bytes: &[u8]) -> bool {
    matches!(bytes, [b'P', b'1'..=b'7', b' ' | b'\t' | b'\r' | b'\n' | b'#', ..])
}

/// The directory of an icon: reserved 0, type 1, at least one entry, whose reserved byte is 0 and which has content.
fn is_ico(bytes: &[u8]) -> bool {
    let [0, 0, 1, 0, count_low, count_high, entry @ ..] = bytes else { return false };
    let [_, _, _, reserved, _, _, _, _, s0, s1, s2, s3, ..] = entry else { return false };
    (*count_low, *count_high) != (0, 0) && matches!(reserved, 0 | 255) && u32::from_le_bytes([*s0, *s1, *s2, *s3]) > 0
}

/// TGA has no magic number: every field of its 18-byte header must hold a value that the format allows.
fn is_tga(bytes: &[u8]) -> bool {
    let Some(h) = bytes.first_chunk::<18>() else { return false };
    let word = |at: usize| u16::from_le_bytes([h[at], h[at + 1]]);
    let (has_map, kind, map_length, map_bits) = (h[1], h[2], word(5), h[7]);
    let (width, height, bits, flags) = (word(12), word(14), h[16], h[17]);
    let map_fits = match has_map {
        0 => map_length == 0 && matches!(map_bits, 0 | 15 | 16 | 24 | 32),
        1 => map_length > 0 && matches!(map_bits, 15 | 16 | 24 | 32),
        _ => false,
    };
    let bits_fit = match kind {
        1 | 9 => has_map == 1 && matches!(bits, 8 | 16),
        2 | 10 => matches!(bits, 15 | 16 | 24 | 32),
        3 | 11 => matches!(bits, 8 | 16),
        _ => false,
    };
    // The two upper bits of the descriptor are reserved; the lower four count alpha bits.
    map_fits && bits_fit && width > 0 && height > 0 && flags & 0xc0 == 0 && flags & 0x0f <= 8
}

/// What `bytes` seem to be if they are not an image that this build decodes, with its article: `an AVIF image`, `text`.
pub(super) fn describe(bytes: &[u8]) -> Option<&'static str> {
    const MAGIC: &[(&[u8], &str)] = &[
        (b"%PDF-", "a PDF document"),
        (b"\xff\x0a", "a JPEG XL image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
        (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
        (b"8BPS", "a Photoshop document"),
        (b"DDS ", "a DDS texture"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b", "a gzip file"),
        (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
        (b"PAR1", "a Parquet file"),
        (b"ARROW1", "an Arrow file"),
        (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
        (b"\0\0\x02\0", "a Windows cursor"),
        (b"\x7fELF", "a program"),
    ];
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(name);
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return Some(match bytes.get(8..12)? {
            b"avif" | b"avis" => "an AVIF image",
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => "a HEIC image",
            // The container of both; what is in it stands in the list of brands that follows.
            b"mif1" | b"msf1" | b"miaf" => match brands(bytes).find(|brand| matches!(*brand, b"avif" | b"avis")) {
                Some(_) => "an AVIF image",
                None => "a HEIC image",
            },
            _ => "an MP4 or QuickTime video",
        });
    }
    let head = &bytes[..bytes.len().min(1024)];
    let text = head.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x20..=0x7e | 0x80..));
    // A cut in the middle of a character is no reason to call a text binary.
    let utf8 = std::str::from_utf8(head).map_or_else(|e| e.error_len().is_none(), |_| true);
    if !(text && utf8) {
        return None;
    }
    let lower = head.to_ascii_lowercase();
    let has = |what: &[u8]| lower.windows(what.len()).any(|w| w == what);
    Some(match () {
        () if has(b"<svg") => "an SVG drawing",
        () if has(b"<html") || has(b"<!doctype html") => "an HTML page",
        () => "text",
    })
}

/// The brands that a file says it is compatible with.
fn brands(bytes: &[u8]) -> impl Iterator<Item = &[u8; 4]> {
    let length = bytes.first_chunk().map_or(0, |b| u32::from_be_bytes(*b) as usize);
    let brands = bytes.get(16..length.min(bytes.len())).unwrap_or_default();
    brands.as_chunks().0.iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_starts_like_an_image_is_not_one() {
        for text in [&b"BMW sells cars and this is a long enough text"[..], b"P60 a phone", b"GIF89", b"", b"\xff\xd8"]
        {
            assert_eq!(sniff(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn zeros_are_not_a_tga() {
        assert_eq!(sniff(&[0; 64]), None);
    }

    #[test]
    fn other_files_are_named() {
        for (bytes, name) in [
            (&b"\0\0\0\x1cftypavif\0\0\0\0"[..], "an AVIF image"),
            (b"\0\0\0\x1cftypavis\0\0\0\0", "an AVIF image"),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "an AVIF image"),
            (b"\0\0\0\x18ftypheic", "a HEIC image"),
            (b"\0\0\0\x18ftypheix", "a HEIC image"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC image"),
            (b"\0\0\0\x14ftypmsf1\0\0\0\0msf1avis", "a HEIC image"),
            (b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl ", "a JPEG XL image"),
            (b"\xff\x0a\x00", "a JPEG XL image"),
            (b"%PDF-1.7", "a PDF document"),
            (b"<?xml version='1.0'?><SVG xmlns=''>", "an SVG drawing"),
            (b"<!DOCTYPE html><html>", "an HTML page"),
            ("naïve text".as_bytes(), "text"),
        ] {
            assert_eq!(describe(bytes), Some(name));
        }
        assert_eq!(describe(&[0, 1, 2, 3, 4, 5, 6, 7, 200]), None);
    }
}
