//! A page as a file of its own, in the plainest words.
//!
//! The crate `tiff` undoes compression, prediction and tiling, but gives the samples of some kinds of colours only. So it is
//! shown a file that calls every page grey, with as many samples as there are: a new header and directory before the old bytes.

use std::io::{self, Read, Seek, SeekFrom};

/// What the new directory says; sizes in pixels.
pub(super) struct Plain {
    pub(super) big_endian: bool,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bits: u16,
    pub(super) compression: u16,
    pub(super) samples: u16,
    pub(super) planar: bool,
    pub(super) predictor: u16,
    pub(super) sample_format: u16,
    pub(super) pieces: Pieces,
    /// Where each piece starts in the old file, and its length, in bytes.
    pub(super) places: Vec<(u64, u64)>,
    /// Whether bits are stored from the lowest to the highest.
    pub(super) reversed: bool,
}

/// How the picture is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pieces {
    Strips { rows: u32 },
    Tiles { width: u32, height: u32 },
}

impl Plain {
    /// The new header and directory: a `BigTIFF`, so that any offset fits.
    fn head(&self) -> Vec<u8> {
        use super::directory as tag;
        const SHORT: u16 = 3;
        const LONG: u16 = 4;
        const LONG8: u16 = 16;
        let one = |tag, kind, value: u64| (tag, kind, vec![value]);
        let offsets = self.places.iter().map(|place| place.0).collect();
        let lengths = self.places.iter().map(|place| place.1).collect();
        let mut entries = vec![
            one(tag::WIDTH, LONG, self.width.into()),
            one(tag::HEIGHT, LONG, self.height.into()),
            one(tag::BITS, SHORT, self.bits.into()),
            one(tag::COMPRESSION, SHORT, self.compression.into()),
            one(tag::PHOTOMETRIC, SHORT, 1),
            one(tag::SAMPLES, SHORT, self.samples.into()),
            one(tag::PLANAR, SHORT, if self.planar { 2 } else { 1 }),
            one(tag::PREDICTOR, SHORT, self.predictor.into()),
            one(tag::SAMPLE_FORMAT, SHORT, self.sample_format.into()),
        ];
        match self.pieces {
            Pieces::Strips { rows } => entries.extend([
                (tag::STRIP_OFFSETS, LONG8, offsets),
                one(tag::ROWS_PER_STRIP, LONG, rows.into()),
                (tag::STRIP_BYTES, LONG8, lengths),
            ]),
            Pieces::Tiles { width, height } => entries.extend([
                one(tag::TILE_WIDTH, LONG, width.into()),
                one(tag::TILE_HEIGHT, LONG, height.into()),
                (tag::TILE_OFFSETS, LONG8, offsets),
                (tag::TILE_BYTES, LONG8, lengths),
            ]),
        }
        entries.sort_by_key(|entry| entry.0);
        self.write(entries)
    }

    fn write(&self, mut entries: Vec<(u16, u16, Vec<u64>)>) -> Vec<u8> {
        let number = |value: u64, bytes: usize| {
            let big = value.to_be_bytes();
            let mut out = big[8 - bytes..].to_vec();
            if !self.big_endian {
                out.reverse();
            }
            out
        };
        let (header, directory) = (16, 8 + entries.len() * 20 + 8);
        let lists: usize = entries.iter().map(|entry| if entry.2.len() > 1 { entry.2.len() * 8 } else { 0 }).sum();
        let length = (header + directory + lists) as u64;
        // Offsets count from the start of the new file.
        for (tag, _, values) in &mut entries {
            if matches!(*tag, super::directory::STRIP_OFFSETS | super::directory::TILE_OFFSETS) {
                for offset in values {
                    *offset = offset.saturating_add(length);
                }
            }
        }
        let mut out = if self.big_endian { b"MM".to_vec() } else { b"II".to_vec() };
        for (value, bytes) in [(43, 2), (8, 2), (0, 2), (header as u64, 8), (entries.len() as u64, 8)] {
            out.extend(number(value, bytes));
        }
        let mut list = Vec::with_capacity(lists);
        for (tag, kind, values) in &entries {
            out.extend([number((*tag).into(), 2), number((*kind).into(), 2), number(values.len() as u64, 8)].concat());
            let mut inline = match (kind, values.as_slice()) {
                (3, [value]) => number(*value, 2),
                (4, [value]) => number(*value, 4),
                (_, [value]) => number(*value, 8),
                _ => number((header + directory + list.len()) as u64, 8),
            };
            inline.resize(8, 0);
            out.extend(inline);
            if values.len() > 1 {
                list.extend(values.iter().flat_map(|value| number(*value, 8)));
            }
        }
        out.extend(number(0, 8));
        out.extend(list);
        out
    }

    /// The new file.
    pub(super) fn file<'a>(&self, old: &'a [u8]) -> PlainFile<'a> {
        PlainFile { head: self.head(), old, reversed: self.reversed, at: 0 }
    }
}

/// The new header and directory, and the old file after them.
pub(super) struct PlainFile<'a> {
    head: Vec<u8>,
    old: &'a [u8],
    reversed: bool,
    at: usize,
}

impl Read for PlainFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let head = self.head.get(self.at..).unwrap_or_default();
        let (source, reversed) = if head.is_empty() {
            (self.old.get(self.at - self.head.len()..).unwrap_or_default(), self.reversed)
        } else {
            (head, false)
        };
        let length = source.len().min(buffer.len());
        buffer[..length].copy_from_slice(&source[..length]);
        if reversed {
            buffer[..length].iter_mut().for_each(|byte| *byte = byte.reverse_bits());
        }
        self.at += length;
        Ok(length)
    }
}

impl Seek for PlainFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = (self.head.len() + self.old.len()) as u64;
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => end.checked_add_signed(by),
            SeekFrom::Current(by) => (self.at as u64).checked_add_signed(by),
        };
        // There is nothing to read beyond the end.
        let at = at.ok_or(io::ErrorKind::InvalidInput)?.min(end);
        self.at = at as usize;
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_file_is_read_as_the_old_one_with_other_words() {
        for (big_endian, reversed) in [(false, false), (true, true)] {
            let plain = Plain {
                big_endian,
                width: 2,
                height: 2,
                bits: 8,
                compression: 1,
                samples: 2,
                planar: false,
                predictor: 1,
                sample_format: 1,
                pieces: Pieces::Strips { rows: 1 },
                places: vec![(5, 4), (1, 4)],
                reversed,
            };
            let mut decoder = tiff::decoder::Decoder::new(plain.file(b"-abcdefgh")).unwrap();
            let tiff::decoder::DecodingResult::U8(bytes) = decoder.read_image().unwrap() else { panic!("bytes") };
            let wanted = b"efghabcd".map(|byte| if reversed { byte.reverse_bits() } else { byte });
            assert_eq!(bytes, wanted);
        }
    }
}
