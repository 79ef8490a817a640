//! The directories of a TIFF: one for each page, a list of tagged values.

use std::collections::HashSet;

pub(super) const WIDTH: u16 = 256;
pub(super) const HEIGHT: u16 = 257;
pub(super) const BITS: u16 = 258;
pub(super) const COMPRESSION: u16 = 259;
pub(super) const PHOTOMETRIC: u16 = 262;
pub(super) const FILL_ORDER: u16 = 266;
pub(super) const STRIP_OFFSETS: u16 = 273;
pub(super) const ORIENTATION: u16 = 274;
pub(super) const SAMPLES: u16 = 277;
pub(super) const ROWS_PER_STRIP: u16 = 278;
pub(super) const STRIP_BYTES: u16 = 279;
pub(super) const PLANAR: u16 = 284;
pub(super) const PREDICTOR: u16 = 317;
pub(super) const PALETTE: u16 = 320;
pub(super) const TILE_WIDTH: u16 = 322;
pub(super) const TILE_HEIGHT: u16 = 323;
pub(super) const TILE_OFFSETS: u16 = 324;
pub(super) const TILE_BYTES: u16 = 325;
pub(super) const EXTRA_SAMPLES: u16 = 338;
pub(super) const SAMPLE_FORMAT: u16 = 339;
pub(super) const JPEG_TABLES: u16 = 347;
pub(super) const YCC_COEFFICIENTS: u16 = 529;
pub(super) const YCC_SUBSAMPLING: u16 = 530;
pub(super) const REFERENCE_BLACK_WHITE: u16 = 532;
pub(super) const XMP: u16 = 700;
pub(super) const PROFILE: u16 = 34675;

/// Entries of a page, of which a `BigTIFF` could claim any number: as many as another TIFF can have.
const MOST_ENTRIES: usize = u16::MAX as usize;
/// A chain of more pages has no end that anyone waits for.
const MOST_PAGES: usize = 1 << 20;

/// How numbers and offsets are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) big_endian: bool,
    /// `BigTIFF`: offsets of eight bytes.
    big: bool,
}

impl Layout {
    fn number(self, bytes: &[u8]) -> u64 {
        let append = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, append) } else { bytes.iter().rev().fold(0, append) }
    }

    /// The number of `length` bytes at byte `at` of `file`.
    fn read(self, file: &[u8], at: usize, length: usize) -> Option<u64> {
        Some(self.number(file.get(at..at.checked_add(length)?)?))
    }
}

/// A page.
pub(super) struct Directory<'a> {
    file: &'a [u8],
    pub(super) layout: Layout,
    entries: Vec<Entry>,
    next: u64,
}

struct Entry {
    tag: u16,
    kind: u16,
    count: usize,
    /// Where the values are, or where their offset is.
    at: usize,
}

/// Page `wanted`, or how many there are if there are fewer. None if the first directory is not within the file. The search ends
/// with the pages found so far once it `is_late`.
pub(super) fn page(file: &[u8], wanted: u32, is_late: impl Fn() -> bool) -> Option<Result<Directory<'_>, usize>> {
    let big_endian = file.starts_with(b"MM");
    let mut layout = Layout { big_endian, big: false };
    layout.big = layout.read(file, 2, 2)? == 43;
    let mut next = if layout.big { layout.read(file, 8, 8)? } else { layout.read(file, 4, 4)? };
    let mut seen = HashSet::new();
    let mut directory = None;
    for number in 0..=wanted as usize {
        // A chain that comes back to itself has ended, and so has one that leaves the file.
        let goes_on = next != 0 && seen.len() < MOST_PAGES && seen.insert(next) && !is_late();
        let found = if goes_on { Directory::read(file, layout, next) } else { None };
        match found {
            Some(found) => next = directory.insert(found).next,
            None if number == 0 => return None,
            None => return Some(Err(number)),
        }
    }
    directory.map(Ok)
}

impl<'a> Directory<'a> {
    fn read(file: &'a [u8], layout: Layout, at: u64) -> Option<Self> {
        let at = usize::try_from(at).ok()?;
        let (count_bytes, line_bytes, offset_bytes) = if layout.big { (8, 20, 8) } else { (2, 12, 4) };
        let count = usize::try_from(layout.read(file, at, count_bytes)?).ok().filter(|count| *count <= MOST_ENTRIES)?;
        let start = at + count_bytes;
        let end = start.checked_add(count.checked_mul(line_bytes)?)?;
        let lines = file.get(start..end)?.chunks_exact(line_bytes);
        let entry = |(number, line): (usize, &[u8])| Entry {
            tag: layout.number(&line[..2]) as u16,
            kind: layout.number(&line[2..4]) as u16,
            count: usize::try_from(layout.number(&line[4..4 + offset_bytes])).unwrap_or(usize::MAX),
            at: start + number * line_bytes + 4 + offset_bytes,
        };
        let entries = lines.enumerate().map(entry).collect();
        // A file that ends after its last directory is a file with one page less to come.
        let next = layout.read(file, end, offset_bytes).unwrap_or(0);
        Some(Self { file, layout, entries, next })
    }

    /// The type and the bytes of a tag's values; None if it is not there or leaves the file.
    fn values(&self, tag: u16) -> Option<(u16, usize, &'a [u8])> {
        let entry = self.entries.iter().find(|entry| entry.tag == tag)?;
        let each = match entry.kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => return None,
        };
        let length = entry.count.checked_mul(each)?;
        let inline = if self.layout.big { 8 } else { 4 };
        let at = if length <= inline {
            entry.at
        } else {
            usize::try_from(self.layout.read(self.file, entry.at, inline)?).ok()?
        };
        Some((entry.kind, each, self.file.get(at..at.checked_add(length)?)?))
    }

    pub(super) fn has(&self, tag: u16) -> bool {
        self.entries.iter().any(|entry| entry.tag == tag)
    }

    /// Whether a tag is there, but its values are not: they leave the file.
    pub(super) fn lost(&self, tag: u16) -> bool {
        self.has(tag) && self.values(tag).is_none()
    }

    /// Values of any unsigned type, at most as many as a palette has: a file may claim hundreds of millions.
    pub(super) fn numbers(&self, tag: u16) -> Option<Vec<u64>> {
        self.first_numbers(tag, 3 << 16)
    }

    /// The first `most` values of any unsigned type.
    pub(super) fn first_numbers(&self, tag: u16, most: usize) -> Option<Vec<u64>> {
        let (kind, each, bytes) = self.values(tag)?;
        let whole = matches!(kind, 1 | 3 | 4 | 7 | 13 | 16 | 18);
        whole.then(|| bytes.chunks_exact(each).take(most).map(|bytes| self.layout.number(bytes)).collect())
    }

    /// The first value.
    pub(super) fn number(&self, tag: u16) -> Option<u64> {
        self.first_numbers(tag, 1)?.first().copied()
    }

    /// Fractions of whole numbers, at most six.
    pub(super) fn fractions(&self, tag: u16) -> Option<Vec<f64>> {
        let (kind, each, bytes) = self.values(tag)?;
        let fraction = |b: &[u8]| self.layout.number(&b[..4]) as f64 / self.layout.number(&b[4..]).max(1) as f64;
        (kind == 5).then(|| bytes.chunks_exact(each).take(6).map(fraction).collect())
    }

    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        Some(self.values(tag)?.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with two pages, widths 7 and 300, the second of which leads back to the first.
    fn two_pages() -> Vec<u8> {
        let directory = |width: u16, next: u32| {
            let mut bytes = vec![1, 0, 0, 1, 3, 0, 1, 0, 0, 0];
            bytes.extend(width.to_le_bytes());
            bytes.extend([0, 0]);
            bytes.extend(next.to_le_bytes());
            bytes
        };
        [&b"II*\0\x08\0\0\0"[..], &directory(7, 26), &directory(300, 8)].concat()
    }

    #[test]
    fn pages_are_found_and_a_chain_without_end_is_counted() {
        let file = two_pages();
        let width = |number| page(&file, number, || false).unwrap().ok().unwrap().number(WIDTH);
        assert_eq!((width(0), width(1)), (Some(7), Some(300)));
        assert_eq!(page(&file, 2, || false).unwrap().err(), Some(2));
    }

    #[test]
    fn what_leaves_the_file_is_not_there() {
        let mut file = two_pages();
        assert!(page(&file[..12], 0, || false).is_none());
        // A thousand widths.
        file[14..16].copy_from_slice(&1000_u16.to_le_bytes());
        let first = page(&file, 0, || false).unwrap().ok().unwrap();
        assert!(first.has(WIDTH) && first.numbers(WIDTH).is_none() && first.bytes(HEIGHT).is_none());
    }
}
