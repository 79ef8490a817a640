//! The segments of a file, one after another (ITU-T T.81, annex B.1).

use super::refusal::{Refusal, Result, damaged};

pub(crate) const TEM: u8 = 0x01;
pub(crate) const SOF0: u8 = 0xc0;
pub(crate) const SOF15: u8 = 0xcf;
pub(crate) const DHT: u8 = 0xc4;
pub(crate) const JPG: u8 = 0xc8;
pub(crate) const DAC: u8 = 0xcc;
pub(crate) const RST0: u8 = 0xd0;
pub(crate) const RST7: u8 = 0xd7;
pub(crate) const SOI: u8 = 0xd8;
pub(crate) const EOI: u8 = 0xd9;
pub(crate) const SOS: u8 = 0xda;
pub(crate) const DQT: u8 = 0xdb;
pub(crate) const DNL: u8 = 0xdc;
pub(crate) const DRI: u8 = 0xdd;
pub(crate) const DHP: u8 = 0xde;
pub(crate) const EXP: u8 = 0xdf;
pub(crate) const APP0: u8 = 0xe0;
pub(crate) const APP1: u8 = 0xe1;
pub(crate) const APP2: u8 = 0xe2;
pub(crate) const APP14: u8 = 0xee;
pub(crate) const APP15: u8 = 0xef;
pub(crate) const COM: u8 = 0xfe;

/// A place in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    pub(crate) bytes: &'a [u8],
    /// The next byte to read.
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The code of the next marker, read past. Bytes that belong to no marker, stuffed zeros and fill bytes are skipped.
    pub(crate) fn next_marker(&mut self) -> Option<u8> {
        let (marker, after) = find_marker(self.bytes, self.at)?;
        self.at = after;
        Some(marker)
    }

    /// What the segment of the marker just read holds, without its length field.
    pub(crate) fn payload(&mut self) -> Result<&'a [u8]> {
        let Some(length) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()) else {
            return Err(Refusal::Truncated);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if length < 2 {
            return damaged(self.at, format_args!("a segment's length is {length}"));
        }
        let Some(payload) = self.bytes.get(self.at + 2..self.at + length) else { return Err(Refusal::Truncated) };
        self.at += length;
        Ok(payload)
    }
}

/// The first marker at or after byte `from`, and the byte after it.
pub(crate) fn find_marker(bytes: &[u8], from: usize) -> Option<(u8, usize)> {
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|b| *b == 0xff)?;
        at += bytes.get(at..)?.iter().position(|b| *b != 0xff)?;
        match *bytes.get(at)? {
            0 => {}
            marker => return Some((marker, at + 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stray_bytes_stuffing_and_fill_bytes_are_skipped() {
        let mut cursor = Cursor::new(&[1, 2, 0xff, 0x00, 3, 0xff, 0xff, 0xff, 0xd9, 4]);
        assert_eq!(cursor.next_marker(), Some(EOI));
        assert_eq!(cursor.at, 9);
        assert_eq!(cursor.next_marker(), None);
    }

    #[test]
    fn a_segment_ends_where_its_length_says() {
        let mut cursor = Cursor::new(&[0, 4, 7, 8, 9]);
        assert_eq!(cursor.payload(), Ok(&[7, 8][..]));
        assert_eq!(cursor.at, 4);
    }

    #[test]
    fn a_length_that_leaves_the_file_or_is_under_two_is_refused() {
        assert_eq!(Cursor::new(&[0, 5, 7]).payload(), Err(Refusal::Truncated));
        assert_eq!(Cursor::new(&[0]).payload(), Err(Refusal::Truncated));
        assert!(matches!(Cursor::new(&[0, 1, 7]).payload(), Err(Refusal::Damaged(_))));
    }
}
