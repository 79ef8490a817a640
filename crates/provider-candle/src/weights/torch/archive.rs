//! The zip archives of `torch.save`, of which only the directory is read: every entry is stored as it is, so its bytes are
//! a range of the file. Archives beyond 4 GiB (zip64) are read; compressed and encrypted ones are refused, as torch writes
//! none, and they are what zip bombs are made of.

use std::{collections::HashMap, ops::Range};

use imbed_core::Result;

use super::{damaged, refused, too_much};

/// How a zip archive starts that has something in it.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END64: u32 = 0x0606_4b50;
const END64_LOCATOR: u32 = 0x0706_4b50;

/// The end record without its comment.
const END_LEN: usize = 22;
/// The extra field that holds what does not fit into 32 bits.
const ZIP64: u16 = 1;

/// A checkpoint has one entry for each tensor and a few more.
const MAX_ENTRIES: usize = 1 << 17;

/// The entries of an archive.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    entries: HashMap<&'a str, Range<usize>>,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self> {
        let (count, mut at) =
            directory(bytes).ok_or_else(|| damaged("the zip archive has no end: the file was cut short"))?;
        if count > MAX_ENTRIES {
            return Err(too_much(format!("the zip archive has {count} entries, more than {MAX_ENTRIES}")));
        }
        let mut entries = HashMap::new();
        for i in 0..count {
            let (entry, next) = Entry::read(bytes, at)
                .ok_or_else(|| damaged(format!("entry {i} of the zip archive's directory is broken")))?;
            let name = entry.name;
            if entry.encrypted || entry.method != 0 {
                let how = if entry.encrypted { "encrypted" } else { "compressed" };
                return Err(refused(format!(
                    "the entry '{}' is {how}, and torch stores all as they are",
                    name.escape_debug()
                )));
            }
            let range = entry.range(bytes).ok_or_else(|| {
                damaged(format!("the entry '{}' of the zip archive lies outside the file", name.escape_debug()))
            })?;
            entries.insert(name, range);
            at = next;
        }
        Ok(Self { entries })
    }

    /// Where the entry `name` lies in the file.
    pub(super) fn get(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(name).cloned()
    }

    /// The folder in which all entries are: the only one with a `data.pkl`.
    pub(super) fn root(&self) -> Result<&'a str> {
        let mut roots = self.entries.keys().filter_map(|name| name.strip_suffix("/data.pkl"));
        match (roots.next(), roots.next()) {
            (Some(root), None) => Ok(root),
            (None, _) => Err(damaged("the zip archive has no data.pkl: not a file of torch.save")),
            _ => Err(damaged("the zip archive has more than one data.pkl")),
        }
    }
}

/// How many entries there are, and where the directory starts.
fn directory(bytes: &[u8]) -> Option<(usize, usize)> {
    // The end record is followed by a comment whose length it tells, at most 64 KiB.
    let earliest = bytes.len().saturating_sub(END_LEN + usize::from(u16::MAX));
    let last = bytes.len().checked_sub(END_LEN)?;
    let is_end = |at: &usize| {
        u32_at(bytes, *at) == Some(END)
            && u16_at(bytes, at + 20).is_some_and(|n| at + END_LEN + usize::from(n) == bytes.len())
    };
    let end = (earliest..=last).rev().find(is_end)?;
    let (count, start) = (u16_at(bytes, end + 10)?, u32_at(bytes, end + 16)?);
    let locator = end.checked_sub(20).filter(|at| u32_at(bytes, *at) == Some(END64_LOCATOR));
    let Some(locator) = locator else { return Some((usize::from(count), start as usize)) };
    let end64 = u64_at(bytes, locator + 8)?;
    if u32_at(bytes, end64)? != END64 {
        return None;
    }
    Some((u64_at(bytes, end64.checked_add(32)?)?, u64_at(bytes, end64.checked_add(48)?)?))
}

/// One entry as the directory tells it.
struct Entry<'a> {
    name: &'a str,
    method: u16,
    encrypted: bool,
    /// In bytes, as stored.
    size: usize,
    /// Where its local header is.
    offset: usize,
}

impl<'a> Entry<'a> {
    /// The entry at `at`, and where the next one is.
    fn read(bytes: &'a [u8], at: usize) -> Option<(Self, usize)> {
        let header: &[u8; 46] = bytes.get(at..)?.first_chunk()?;
        if u32_at(header, 0)? != CENTRAL {
            return None;
        }
        let length = |field| u16_at(header, field).map(usize::from);
        let (name_len, extra_len, comment_len) = (length(28)?, length(30)?, length(32)?);
        let name_at = at + header.len();
        let extra_at = name_at + name_len;
        let name = std::str::from_utf8(bytes.get(name_at..extra_at)?).ok()?;
        let extra = bytes.get(extra_at..extra_at + extra_len)?;
        let (mut size, whole, mut offset) = (u32_at(header, 20)?, u32_at(header, 24)?, u32_at(header, 42)?);
        let (mut size64, mut offset64) = (None, None);
        if [size, whole, offset].contains(&u32::MAX) {
            // Only those that did not fit are there, in this order.
            let mut field = zip64(extra)?;
            let mut next = |wanted: &mut u32| {
                if *wanted != u32::MAX {
                    return Some(None);
                }
                let (value, rest) = field.split_first_chunk::<8>()?;
                field = rest;
                Some(Some(usize::try_from(u64::from_le_bytes(*value)).ok()?))
            };
            let mut whole = whole;
            next(&mut whole)?;
            size64 = next(&mut size)?;
            offset64 = next(&mut offset)?;
        }
        let entry = Self {
            name,
            method: u16_at(header, 10)?,
            encrypted: u16_at(header, 8)? & 1 != 0,
            size: size64.unwrap_or(size as usize),
            offset: offset64.unwrap_or(offset as usize),
        };
        Some((entry, extra_at + extra_len + comment_len))
    }

    /// Where its bytes are: after the local header, whose name and padding have lengths of their own.
    fn range(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let header: &[u8; 30] = bytes.get(self.offset..)?.first_chunk()?;
        if u32_at(header, 0)? != LOCAL {
            return None;
        }
        let start = self.offset + header.len() + usize::from(u16_at(header, 26)?) + usize::from(u16_at(header, 28)?);
        let end = start.checked_add(self.size)?;
        (end <= bytes.len()).then_some(start..end)
    }
}

/// The contents of the zip64 field among the extra fields.
fn zip64(mut extra: &[u8]) -> Option<&[u8]> {
    loop {
        let (id, length) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let contents = extra.get(4..4 + length)?;
        if id == ZIP64 {
            return Some(contents);
        }
        extra = &extra[4 + length..];
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}
