//! How many row groups a footer announces, looked at before it is read: the reader of arrow-rs takes the memory for as many as it is
//! told, and a program that asks for more than there is comes to its end.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use imbed::core::{Error, Result};

use crate::source::guard::damaged;

/// The length of the footer and the format's name, at the end of a file.
const TRAILER: u64 = 8;
const MAGIC: &[u8] = b"PAR1";
/// Row groups in `FileMetaData` of Parquet's `parquet.thrift`.
const ROW_GROUPS: i64 = 4;
/// How deep values may lie in each other, as it is in no honest footer.
const DEPTH: usize = 32;

/// Refuses a file that announces more row groups than its footer has bytes.
pub(super) fn check(file: &mut File) -> Result<()> {
    let Some(footer) = footer(file).map_err(|e| Error::io("read", e))? else { return Ok(()) };
    match row_groups(&footer) {
        Some(groups) if groups > footer.len() as u64 => Err(damaged(format!(
            "the Parquet file is damaged: it announces {groups} row groups in {} bytes",
            footer.len()
        ))),
        // What cannot be followed here is the reader's to tell of.
        _ => Ok(()),
    }
}

fn footer(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let length = file.metadata()?.len();
    let Some(end) = length.checked_sub(TRAILER) else { return Ok(None) };
    let mut trailer = [0; TRAILER as usize];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut trailer)?;
    let [a, b, c, d, magic @ ..] = &trailer;
    let start = end.checked_sub(u32::from_le_bytes([*a, *b, *c, *d]).into());
    let Some(start) = start.filter(|_| magic == MAGIC) else { return Ok(None) };
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
