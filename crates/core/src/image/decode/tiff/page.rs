//! What a page says of itself, and whether it may be believed.

use super::{
    directory::{self as tag, Directory},
    plain_file::{Pieces, Plain},
};
use crate::{
    Result,
    image::{
        Format, Limits,
        decode::{failure, task::Task},
    },
};

pub(super) const WHITE_IS_ZERO: u64 = 0;
pub(super) const BLACK_IS_ZERO: u64 = 1;
pub(super) const RGB: u64 = 2;
pub(super) const INDEXED: u64 = 3;
pub(super) const CMYK: u64 = 5;
pub(super) const YCC: u64 = 6;
pub(super) const LAB: u64 = 8;

/// Bytes that are held for each strip or tile while its place is read, written into another directory and read again.
const PLACE: u64 = 192;

const FAX_4: u64 = 4;
pub(super) const JPEG: u64 = 7;

/// Tags that change pixels, and whose values may lie anywhere in the file.
const MEANINGFUL: [u16; 12] = [
    tag::BITS,
    tag::STRIP_OFFSETS,
    tag::STRIP_BYTES,
    tag::PALETTE,
    tag::TILE_OFFSETS,
    tag::TILE_BYTES,
    tag::EXTRA_SAMPLES,
    tag::SAMPLE_FORMAT,
    tag::JPEG_TABLES,
    tag::YCC_COEFFICIENTS,
    tag::YCC_SUBSAMPLING,
    tag::REFERENCE_BLACK_WHITE,
];

pub(super) struct Page {
    /// In pixels.
    pub(super) width: u32,
    pub(super) height: u32,
    /// Of a sample.
    pub(super) bits: u16,
    /// Of a pixel.
    pub(super) samples: u16,
    pub(super) photometric: u64,
    pub(super) compression: u64,
    pub(super) planar: bool,
    /// What the samples are that the colour does not need: 1 is alpha that colours are multiplied by, 2 is alpha.
    pub(super) extra: Vec<u64>,
    predictor: u16,
    sample_format: u16,
    reversed: bool,
    pub(super) pieces: Pieces,
    /// Where each piece starts, and its length, in bytes.
    pub(super) places: Vec<(u64, u64)>,
    /// Pixels that share their colour, across and down.
    pub(super) shared: (u32, u32),
}

impl Page {
    pub(super) fn read(directory: &Directory<'_>, bytes: &[u8], task: &Task) -> Result<Self> {
        if !task.allow_truncated && MEANINGFUL.iter().any(|tag| directory.lost(*tag)) {
            return Err(failure::truncated(Format::Tiff, bytes));
        }
        let limits = &task.limits;
        let damaged = |why: &str| failure::damaged(Format::Tiff, bytes, why);
        let number = |tag, default| directory.number(tag).unwrap_or(default);
        let side = |tag| directory.number(tag).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        let (Some(width), Some(height)) = (side(tag::WIDTH), side(tag::HEIGHT)) else {
            return Err(damaged("its width or height is missing, or 0"));
        };
        let samples = number(tag::SAMPLES, 1);
        let Some(samples) = u16::try_from(samples).ok().filter(|n| (1..=64).contains(n)) else {
            return Err(failure::unsupported(Format::Tiff, &format!("{samples} samples a pixel")));
        };
        let bits = directory.first_numbers(tag::BITS, samples.into()).unwrap_or(vec![1]);
        let Some(&first) = bits.first().filter(|first| bits.iter().all(|n| n == *first)) else {
            return Err(failure::unsupported(Format::Tiff, &format!("samples of {bits:?} bits")));
        };
        let Some(bits) = u16::try_from(first).ok().filter(|n| matches!(n, 1 | 2 | 4 | 8 | 16 | 32 | 64)) else {
            return Err(failure::unsupported(Format::Tiff, &format!("{first} bits a sample")));
        };
        limits.check_size(width, height, u64::from(samples) * u64::from(bits.div_ceil(8)))?;
        let compression = number(tag::COMPRESSION, 1);
        known(compression)?;
        let photometric = number(tag::PHOTOMETRIC, WHITE_IS_ZERO);
        let mut page = Self {
            width,
            height,
            bits,
            samples,
            photometric,
            compression,
            planar: samples > 1 && number(tag::PLANAR, 1) == 2,
            extra: directory.first_numbers(tag::EXTRA_SAMPLES, 64).unwrap_or_default(),
            predictor: number(tag::PREDICTOR, 1).try_into().unwrap_or(u16::MAX),
            sample_format: sample_format(directory)?,
            reversed: number(tag::FILL_ORDER, 1) == 2 && compression != JPEG,
            pieces: Pieces::Strips { rows: height },
            places: Vec::new(),
            shared: (1, 1),
        };
        if photometric == YCC && samples == 3 && compression != JPEG {
            page.shared = shared(directory)?;
            if page.shared != (1, 1) && (page.planar || bits != 8) {
                return Err(failure::unsupported(Format::Tiff, "planes or deep samples of reduced colour"));
            }
        }
        let pieces = page.measure_pieces(directory, bytes, limits)?;
        let pixels = u64::from(width) * u64::from(height);
        task.check_memory(pixels.saturating_mul(page.working()).saturating_add(pieces.saturating_mul(PLACE)))
            .map_err(|e| e.context(format_args!("a page of {width} x {height} pixels in {pieces} pieces")))?;
        page.read_places(directory, bytes, pieces as usize)?;
        Ok(page)
    }

    /// Bytes for each pixel that are held at a time at most, on the way from what is stored to the image.
    fn working(&self) -> u64 {
        let samples = u64::from(self.samples);
        let stored = samples * u64::from(self.bits.div_ceil(8));
        // As they are once they are bytes, words or floats, and whether they are made so.
        let (element, made) = match (self.bits, self.sample_format) {
            (8, _) => (1, false),
            (16, 1) => (2, false),
            (32, 3) => (4, false),
            (1..=7, _) => (1, true),
            (32 | 64, 1) => (2, true),
            _ => (4, true),
        };
        let elements = samples * element;
        let made = stored + if made { elements } else { 0 };
        let together = match self.shared {
            // Brightnesses and two differences for each group, and then three samples for each pixel.
            (across, down) if across * down > 1 => stored + 3,
            _ if self.planar => 2 * elements,
            _ => elements,
        };
        let colours = match self.photometric {
            WHITE_IS_ZERO | BLACK_IS_ZERO if element < 4 && samples <= 2 => 0,
            RGB if samples <= 4 => 0,
            _ => 4 * element,
        };
        let image = if self.photometric == RGB && element == 1 && samples == 3 { 0 } else { 3 };
        made.max(together).max(elements + colours).max((elements + colours).min(4 * element) + image)
    }

    /// How the page is cut, and into how many pieces.
    fn measure_pieces(&mut self, directory: &Directory<'_>, bytes: &[u8], limits: &Limits) -> Result<u64> {
        let damaged = |why: &str| failure::damaged(Format::Tiff, bytes, why);
        let per_plane = if directory.has(tag::TILE_OFFSETS) {
            let side = |tag| directory.number(tag).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
            let (Some(width), Some(height)) = (side(tag::TILE_WIDTH), side(tag::TILE_HEIGHT)) else {
                return Err(damaged("the size of its tiles is missing, or 0"));
            };
            let bytes_each = u64::from(self.samples) * u64::from(self.bits.div_ceil(8));
            limits.check_size(width, height, bytes_each).map_err(|e| e.context("a tile of the TIFF"))?;
            self.pieces = Pieces::Tiles { width, height };
            u64::from(self.width.div_ceil(width)) * u64::from(self.height.div_ceil(height))
        } else {
            let rows = directory.number(tag::ROWS_PER_STRIP).unwrap_or(u64::MAX).min(self.height.into()).max(1) as u32;
            self.pieces = Pieces::Strips { rows };
            self.height.div_ceil(rows).into()
        };
        Ok(per_plane * if self.planar { u64::from(self.samples) } else { 1 })
    }

    /// Where its `wanted` pieces are.
    fn read_places(&mut self, directory: &Directory<'_>, bytes: &[u8], wanted: usize) -> Result<()> {
        let damaged = |why: &str| failure::damaged(Format::Tiff, bytes, why);
        let (offsets, lengths) = match self.pieces {
            Pieces::Tiles { .. } => (tag::TILE_OFFSETS, tag::TILE_BYTES),
            Pieces::Strips { .. } => (tag::STRIP_OFFSETS, tag::STRIP_BYTES),
        };
        let Some(offsets) = directory.first_numbers(offsets, wanted) else {
            return Err(damaged("the places of its strips or tiles are missing, or leave the file"));
        };
        if offsets.len() < wanted {
            return Err(damaged(&format!("it has {} of its {wanted} strips or tiles", offsets.len())));
        }
        // A length that is missing reaches to the end of the file, as it may where nothing is compressed.
        let lengths = directory.first_numbers(lengths, wanted).unwrap_or_default();
        let lengths = lengths.into_iter().chain(std::iter::repeat(u64::MAX));
        let within = |(offset, length): (u64, u64)| (offset, length.min((bytes.len() as u64).saturating_sub(offset)));
        self.places = offsets.into_iter().zip(lengths).take(wanted).map(within).collect();
        Ok(())
    }

    /// The page for the crate `tiff`. Where pixels share their colour, all that do are one pixel of many samples.
    pub(super) fn plain(&self, big_endian: bool) -> Plain {
        let (across, down) = self.shared;
        let pieces = match self.pieces {
            Pieces::Strips { rows } => Pieces::Strips { rows: rows.div_ceil(down) },
            Pieces::Tiles { width, height } => {
                Pieces::Tiles { width: width.div_ceil(across), height: height.div_ceil(down) }
            }
        };
        Plain {
            big_endian,
            width: self.width.div_ceil(across),
            height: self.height.div_ceil(down),
            bits: self.bits,
            compression: self.compression as u16,
            samples: if self.shared == (1, 1) { self.samples } else { (across * down) as u16 + 2 },
            planar: self.planar,
            predictor: self.predictor,
            sample_format: self.sample_format,
            pieces,
            places: self.places.clone(),
            reversed: self.reversed,
        }
    }
}

/// 1 for whole numbers, 3 for floats.
fn sample_format(directory: &Directory<'_>) -> Result<u16> {
    let formats = directory.first_numbers(tag::SAMPLE_FORMAT, 64).unwrap_or(vec![1]);
    match formats.first() {
        Some(first) if formats.iter().any(|format| format != first) => {
            Err(failure::unsupported(Format::Tiff, "samples of several types"))
        }
        // 4 leaves it open.
        Some(1 | 4) | None => Ok(1),
        Some(3) => Ok(3),
        Some(2) => Err(failure::unsupported(Format::Tiff, "samples with a sign")),
        Some(_) => Err(failure::unsupported(Format::Tiff, "complex samples")),
    }
}

fn shared(directory: &Directory<'_>) -> Result<(u32, u32)> {
    match directory.first_numbers(tag::YCC_SUBSAMPLING, 2).as_deref() {
        None => Ok((2, 2)),
        Some(&[across @ (1 | 2 | 4), down @ (1 | 2 | 4)]) => Ok((across as u32, down as u32)),
        Some(other) => Err(failure::unsupported(Format::Tiff, &format!("colour reduced by {other:?}"))),
    }
}

fn known(compression: u64) -> Result<()> {
    let name = match compression {
        1 | FAX_4 | 5 | JPEG | 8 | 32773 | 32946 => return Ok(()),
        2 => "CCITT run lengths",
        3 => "CCITT Group 3",
        6 => "JPEG in the old style",
        32809 => "ThunderScan",
        34676 | 34677 => "SGI LogLuv",
        34712 => "JPEG 2000",
        34925 => "LZMA",
        50000 => "Zstandard",
        50001 => "WebP",
        52546 => "JPEG XL",
        other => return Err(failure::unsupported(Format::Tiff, &format!("compression number {other}"))),
    };
    Err(failure::unsupported(Format::Tiff, &format!("compression by {name}")))
}
