//! How many row groups the end of a Parquet file announces, looked at before it is read: the reader of arrow-rs takes the memory for
//! as many as it is told, and a program that asks for more than there is comes to its end.
//!
//! A file ends with its footer, a struct of Thrift; the footer's length, 4 bytes, the lowest first; and `PAR1`. What cannot be
//! followed here is let through, as it is the reader's to tell of.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use crate::{Error, ErrorKind, Result};

/// Bytes behind the footer.
pub const TRAILER: usize = 8;

const MAGIC: &[u8] = b"PAR1";
/// Row groups in `FileMetaData` of Parquet's `parquet.thrift`.
const ROW_GROUPS: i64 = 4;
/// How deep values may lie in each other, as it is in no honest footer.
const DEPTH: usize = 32;

/// Refuses a footer that announces more row groups than it has bytes.
///
/// ```
/// use imbed_core::footer::check;
///
/// // Field 1 is the number 1; field 4 is a list of 14 structs, which need more than the bytes that are left.
/// assert!(check(b"\x15\x02\x39\xec").is_err());
/// assert!(check(b"\x15\x02\x39\x0c\x00").is_ok());
/// ```
pub fn check(footer: &[u8]) -> Result<()> {
    match row_groups(footer) {
        Some(groups) if groups > footer.len() as u64 => {
            let why =
                format!("the Parquet file is damaged: it announces {groups} row groups in {} bytes", footer.len());
            Err(Error::new(ErrorKind::BadInput, why).hint("copy or write the table again"))
        }
        _ => Ok(()),
    }
}

/// The same of the footer in `end`, the last bytes of a file. One that begins before them is not looked at.
pub fn check_end(end: &[u8]) -> Result<()> {
    let footer = length(end).and_then(|length| {
        let stop = end.len() - TRAILER;
        end.get(stop.checked_sub(usize::try_from(length).ok()?)?..stop)
    });
    footer.map_or(Ok(()), check)
}

/// The same of a file.
pub fn check_file(file: &File) -> Result<()> {
    let footer = read(file).map_err(|e| Error::io("read", e))?;
    footer.map_or(Ok(()), |footer| check(&footer))
}

/// The length of the footer of a file whose last bytes are `end`, as the file has it; `None` if it is no Parquet file.
pub fn length(end: &[u8]) -> Option<u64> {
    let (_, [a, b, c, d, magic @ ..]) = end.split_last_chunk::<TRAILER>()?;
    (magic == MAGIC).then(|| u32::from_le_bytes([*a, *b, *c, *d]).into())
}

fn read(mut file: &File) -> io::Result<Option<Vec<u8>>> {
    let Some(end) = file.metadata()?.len().checked_sub(TRAILER as u64) else { return Ok(None) };
    let mut trailer = [0; TRAILER];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut trailer)?;
    let Some(start) = length(&trailer).and_then(|length| end.checked_sub(length)) else { return Ok(None) };
    let mut footer = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(end - start).read_to_end(&mut footer)?;
    Ok(Some(footer))
}

/// The length of the list of row groups; `None` where the footer does not say.
fn row_groups(footer: &[u8]) -> Option<u64> {
    let mut thrift = Thrift(footer);
    let mut field = 0;
    loop {
        match (thrift.field(&mut field)?, field) {
            (LIST, ROW_GROUPS) => return thrift.list().map(|(_, count)| count),
            (STOP, _) | (_, ROW_GROUPS) => return None,
            (kind, _) => thrift.skip(kind, DEPTH)?,
        }
    }
}

/// Values in Thrift's compact protocol, of which only lengths matter:
/// <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>.
struct Thrift<'a>(&'a [u8]);

const STOP: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;
const UUID: u8 = 13;

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn pass(&mut self, bytes: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// The kind of the next field, whose number replaces the one before it; `STOP` at the end of a struct.
    fn field(&mut self, number: &mut i64) -> Option<u8> {
        let byte = self.byte()?;
        if byte == STOP {
            return Some(STOP);
        }
        *number = match byte >> 4 {
            0 => {
                let zigzag = self.number()?;
                (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
            }
            step => number.checked_add(step.into())?,
        };
        Some(byte & 15)
    }

    /// The kind of a list's elements and how many there are.
    fn list(&mut self) -> Option<(u8, u64)> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => self.number()?,
            count => count.into(),
        };
        Some((byte & 15, count))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            TRUE | FALSE => Some(()),
            BYTE => self.pass(1),
            DOUBLE => self.pass(8),
            UUID => self.pass(16),
            BINARY => {
                let length = self.number()?;
                self.pass(length)
            }
            LIST | SET => {
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| self.skip_element(kind, depth))
            }
            MAP => {
                let count = self.number()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                (0..count).try_for_each(|_| {
                    self.skip_element(kinds >> 4, depth)?;
                    self.skip_element(kinds & 15, depth)
                })
            }
            STRUCT => {
                let mut number = 0;
                loop {
                    match self.field(&mut number)? {
                        STOP => return Some(()),
                        kind => self.skip(kind, depth)?,
                    }
                }
            }
            _ if kind < DOUBLE => self.number().map(|_| ()),
            _ => None,
        }
    }

    /// A truth value that is a field stands in the field's kind; as an element it has a byte.
    fn skip_element(&mut self, kind: u8, depth: usize) -> Option<()> {
        if matches!(kind, TRUE | FALSE) { self.pass(1) } else { self.skip(kind, depth) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Version 1, a schema of one group without columns, no rows, and a list of two billion row groups that do not come.
    const TWO_BILLION: &[u8] = b"\x15\x02\x19\x1c\x48\x04root\x15\x00\x00\x16\x00\x19\xfc\xff\xff\xff\xff\x07";

    fn file(footer: &[u8]) -> Vec<u8> {
        [b"PAR1 some data", footer, &(footer.len() as u32).to_le_bytes(), MAGIC].concat()
    }

    #[test]
    fn a_footer_of_two_billion_row_groups_is_refused_by_their_number() {
        let whole = file(TWO_BILLION);
        let mut onto_disk = tempfile::tempfile().unwrap();
        onto_disk.write_all(&whole).unwrap();
        let [a, b, c] = [check(TWO_BILLION), check_end(&whole), check_file(&onto_disk)].map(Result::unwrap_err);
        for error in [a, b, c] {
            assert!(error.message().contains("2147483647 row groups in 22 bytes"), "{error}");
        }
    }

    #[test]
    fn an_end_without_a_whole_footer_is_let_through() {
        let whole = file(TWO_BILLION);
        for length in 0..TWO_BILLION.len() + TRAILER {
            check_end(&whole[whole.len() - length..]).unwrap();
        }
        check_end(b"\xff\xff\xff\xffPAR1").unwrap();
        check_end(&whole[..whole.len() - 1]).unwrap();
        let mut short = tempfile::tempfile().unwrap();
        for bytes in [&b"PAR1"[..], b"\xff\xff\xff\xffPAR1"] {
            short.write_all(bytes).unwrap();
            check_file(&short).unwrap();
        }
    }
}
