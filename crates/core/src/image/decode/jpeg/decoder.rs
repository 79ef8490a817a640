//! From segment to segment through a file.

use super::{
    colour::Colour,
    frame::Frame,
    gathered::Gathered,
    markers::{self, Cursor},
    one_scan::OneScan,
    refusal::{Refusal, Result, damaged},
    scan::Scan,
    tables::Tables,
};
use crate::image::decode::task::Task;

/// More scans than any encoder writes: a limit to how long a small file can keep us busy.
const MOST_SCANS: usize = 1000;
/// More parts of an ICC profile than can be numbered.
const MOST_PARTS: usize = 256;

/// A file whose header has been read, up to its first scan.
pub(crate) struct Decoder<'a> {
    cursor: Cursor<'a>,
    tables: Tables,
    frame: Frame,
    first_scan: Scan,
    colour: Colour,
    exif: Option<&'a [u8]>,
    xmp: Option<&'a [u8]>,
    /// The parts of the ICC profile: number, count, bytes.
    profile: Vec<(u8, u8, &'a [u8])>,
}

impl<'a> Decoder<'a> {
    /// Reads up to the first scan.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        if !bytes.starts_with(&[0xff, markers::SOI]) {
            return damaged(0, "it does not start as a JPEG");
        }
        cursor.at = 2;
        let mut tables = Tables::default();
        let (mut frame, mut jfif, mut adobe, mut exif, mut xmp) = (None, false, None, None, None);
        let mut profile = Vec::new();
        loop {
            match cursor.next_marker().ok_or(Refusal::Truncated)? {
                markers::EOI => return damaged(cursor.at, "it ends before its first scan"),
                markers::APP0 => jfif |= is_jfif(cursor.payload()?),
                markers::APP1 => {
                    let payload = cursor.payload()?;
                    exif = exif.or(payload.strip_prefix(b"Exif\0\0"));
                    xmp = xmp.or(payload.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0"));
                }
                markers::APP2 => {
                    let part = profile_part(cursor.payload()?);
                    profile.extend(part.filter(|_| profile.len() < MOST_PARTS));
                }
                markers::APP14 => adobe = adobe_transform(cursor.payload()?).or(adobe),
                markers::SOS => {
                    let payload = cursor.payload()?;
                    let Some(frame) = frame else { return damaged(cursor.at, "a scan comes before the frame header") };
                    let first_scan = Scan::read(&frame, payload, cursor.at)?;
                    let colour = Colour::of(&frame, jfif, adobe);
                    if !frame.progressive {
                        tables.fill_in_standard_codes();
                    }
                    return Ok(Self { cursor, tables, frame, first_scan, colour, exif, xmp, profile });
                }
                marker if is_frame(marker) => {
                    let payload = cursor.payload()?;
                    if frame.is_some() {
                        return damaged(cursor.at, "it has two frame headers");
                    }
                    frame = Some(Frame::read(marker, payload, cursor.at)?);
                }
                marker => tables.read(marker, &mut cursor)?,
            }
        }
    }

    /// In pixels, of the picture as it is made.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.frame.width, self.frame.height)
    }

    /// Has the picture made smaller, to be asked once: of each block `side` x `side` pixels, 1, 2, 4 or 8.
    pub(crate) fn reduce(&mut self, side: usize) {
        self.frame.reduce(side);
    }

    /// The EXIF block, from its TIFF header on.
    pub(crate) fn exif(&self) -> Option<&'a [u8]> {
        self.exif
    }

    /// The XMP packet.
    pub(crate) fn xmp(&self) -> Option<&'a [u8]> {
        self.xmp
    }

    /// The ICC profile; None where parts of it are missing.
    pub(crate) fn profile(&self) -> Option<Vec<u8>> {
        let mut parts = self.profile.clone();
        parts.sort_by_key(|(number, ..)| *number);
        let (_, count, _) = *parts.first()?;
        let whole = parts.iter().map(|(number, of, _)| (*number, *of)).eq((1..=count).map(|number| (number, count)));
        whole.then(|| parts.iter().flat_map(|(.., bytes)| bytes.iter().copied()).collect())
    }

    /// Whether the picture is of inks.
    pub(crate) fn has_inks(&self) -> bool {
        self.colour.as_inks().is_some()
    }

    /// Has inks, if the picture is of any, given as they are, four bytes a pixel.
    pub(crate) fn keep_inks(&mut self) {
        self.colour = self.colour.as_inks().unwrap_or(self.colour);
    }

    /// Samples of a pixel.
    pub(crate) fn channels(&self) -> usize {
        self.colour.channels()
    }

    /// Bytes that decoding takes beside the pixels: all coefficients, where scans must be gathered first.
    pub(crate) fn working_bytes(&self) -> u64 {
        if self.in_one_scan() { 0 } else { self.frame.coefficient_bytes() }
    }

    fn in_one_scan(&self) -> bool {
        !self.frame.progressive && self.first_scan.parts.len() == self.frame.components.len()
    }

    /// The pixels, row by row, one, three or four bytes each. A file that ends too early gives what it has if `lenient`.
    pub(crate) fn decode(self, lenient: bool, task: &Task) -> Result<Vec<u8>> {
        if !self.in_one_scan() {
            return self.decode_scans(lenient, task);
        }
        let Self { cursor, tables, frame, first_scan, colour, .. } = &self;
        OneScan::new(frame, tables, first_scan, *colour, cursor.bytes)?.pixels(task)
    }

    fn decode_scans(self, lenient: bool, task: &Task) -> Result<Vec<u8>> {
        let Self { mut cursor, mut tables, frame, first_scan, colour, .. } = self;
        let mut gathered = Gathered::new(&frame);
        let mut scan = first_scan;
        for count in 1.. {
            gathered.scan(&tables, &scan, &mut cursor, task)?;
            if count == MOST_SCANS {
                return damaged(cursor.at, format_args!("it has more than {MOST_SCANS} scans"));
            }
            match next_scan(&mut tables, &frame, &mut cursor) {
                Ok(Some(next)) => scan = next,
                Ok(None) => break,
                Err(Refusal::Truncated) if lenient => break,
                Err(e) => return Err(e),
            }
        }
        gathered.pixels(colour, task)
    }
}

/// Reads up to the next scan. None at the end of the picture.
fn next_scan(tables: &mut Tables, frame: &Frame, cursor: &mut Cursor<'_>) -> Result<Option<Scan>> {
    loop {
        match cursor.next_marker().ok_or(Refusal::Truncated)? {
            markers::EOI => return Ok(None),
            markers::SOS => {
                let payload = cursor.payload()?;
                return Scan::read(frame, payload, cursor.at).map(Some);
            }
            marker if is_frame(marker) => return damaged(cursor.at, "it has two frame headers"),
            marker => tables.read(marker, cursor)?,
        }
    }
}

fn is_frame(marker: u8) -> bool {
    matches!(marker, markers::SOF0..=markers::SOF15) && !matches!(marker, markers::DHT | markers::JPG | markers::DAC)
}

/// JFIF's segment, by its name and its least length.
fn is_jfif(payload: &[u8]) -> bool {
    payload.len() >= 14 && payload.starts_with(b"JFIF\0")
}

/// The number, the count and the bytes of a part of an ICC profile.
fn profile_part(payload: &[u8]) -> Option<(u8, u8, &[u8])> {
    match payload.strip_prefix(b"ICC_PROFILE\0")? {
        [number, count, bytes @ ..] => Some((*number, *count, bytes)),
        _ => None,
    }
}

/// The colour transform that Adobe's segment names.
fn adobe_transform(payload: &[u8]) -> Option<u8> {
    payload.strip_prefix(b"Adobe")?.get(6).copied()
}
