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

#[cfg(test)]
pub(super) mod tests {
    use imbed_core::ErrorKind;

    use super::*;

    /// How the archives of the tests differ from plain ones.
    #[derive(Debug, Clone, Copy, Default)]
    pub(in crate::weights::torch) struct Oddity {
        pub(in crate::weights::torch) method: u16,
        pub(in crate::weights::torch) flags: u16,
        /// Sizes and offsets stand in 64-bit fields only.
        pub(in crate::weights::torch) zip64: bool,
        /// Beyond where the entries are.
        pub(in crate::weights::torch) shift: u32,
    }

    /// An archive with these entries.
    pub(in crate::weights::torch) fn zip(entries: &[(&str, &[u8])], odd: Oddity) -> Vec<u8> {
        let (mut file, mut directory) = (Vec::new(), Vec::new());
        let le = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
        for (name, bytes) in entries {
            let offset = file.len() as u32 + odd.shift;
            let (size, names) = (bytes.len() as u32, name.len() as u16);
            let common = |out: &mut Vec<u8>, sizes: u32, extra: u16| {
                out.extend([45, 0].iter().chain(&odd.flags.to_le_bytes()).chain(&odd.method.to_le_bytes()));
                out.extend([0; 8]);
                out.extend(le(&[sizes, sizes]));
                out.extend(names.to_le_bytes().iter().chain(&extra.to_le_bytes()));
            };
            file.extend(le(&[LOCAL]));
            common(&mut file, size, 5);
            file.extend(name.bytes().chain(*b"FB\x01\x00Z"));
            file.extend(*bytes);
            directory.extend(le(&[CENTRAL]));
            directory.extend([45, 0]);
            common(&mut directory, if odd.zip64 { u32::MAX } else { size }, if odd.zip64 { 33 } else { 0 });
            directory.extend([0; 10]);
            directory.extend(le(&[if odd.zip64 { u32::MAX } else { offset }]));
            directory.extend(name.bytes());
            if odd.zip64 {
                // A field of another kind first.
                directory.extend(*b"UT\x01\x00Z\x01\x00\x18\x00");
                directory.extend(le(&[size, 0, size, 0, offset, 0]));
            }
        }
        let (start, count) = (file.len() as u32, entries.len() as u32);
        file.extend(&directory);
        if odd.zip64 {
            let end64 = file.len() as u32;
            file.extend(le(&[END64, 44, 0, 0, 0, 0, count, 0, count, 0, directory.len() as u32, 0, start, 0]));
            file.extend(le(&[END64_LOCATOR, 0, end64, 0, 1]));
        }
        let short = if odd.zip64 { u16::MAX } else { count as u16 };
        file.extend(le(&[END, 0]));
        file.extend(short.to_le_bytes().repeat(2));
        file.extend(le(&[directory.len() as u32, if odd.zip64 { u32::MAX } else { start }]));
        file.extend([3, 0, b'a', b'b', b'c']);
        file
    }

    const ENTRIES: &[(&str, &[u8])] = &[("x/data.pkl", b"pickle"), ("x/data/0", b""), ("x/data/10", b"numbers")];

    #[test]
    fn entries_are_found_where_they_lie() {
        for zip64 in [false, true] {
            let file = zip(ENTRIES, Oddity { zip64, ..Oddity::default() });
            let archive = Archive::open(&file).unwrap();
            assert_eq!(archive.root().unwrap(), "x");
            for (name, bytes) in ENTRIES {
                assert_eq!(&file[archive.get(name).unwrap()], *bytes, "{name}");
            }
            assert_eq!(archive.get("x/data/1"), None);
        }
    }

    #[test]
    fn what_is_compressed_or_encrypted_is_refused_by_name() {
        for (odd, part) in [
            (Oddity { method: 8, ..Oddity::default() }, "compressed"),
            (Oddity { flags: 1, ..Oddity::default() }, "encrypted"),
        ] {
            let error = Archive::open(&zip(ENTRIES, odd)).unwrap_err();
            assert!(error.message().contains(part) && error.message().contains("x/data.pkl"), "{error}");
        }
    }

    #[test]
    fn a_file_cut_short_anywhere_is_refused() {
        for zip64 in [false, true] {
            let file = zip(ENTRIES, Oddity { zip64, ..Oddity::default() });
            for length in 0..file.len() {
                assert_eq!(Archive::open(&file[..length]).unwrap_err().kind(), ErrorKind::Model);
            }
        }
    }

    #[test]
    fn an_entry_outside_the_file_is_refused() {
        let error = Archive::open(&zip(ENTRIES, Oddity { shift: 1 << 20, ..Oddity::default() })).unwrap_err();
        assert!(error.message().contains("x/data.pkl") && error.message().contains("outside"), "{error}");
    }

    #[test]
    fn a_count_of_entries_that_no_checkpoint_has_is_refused_before_any_is_read() {
        let mut file = zip(ENTRIES, Oddity { zip64: true, ..Oddity::default() });
        let end64 = file.windows(4).position(|window| window == END64.to_le_bytes()).unwrap();
        file[end64 + 32..end64 + 40].copy_from_slice(&(1_u64 << 40).to_le_bytes());
        assert_eq!(Archive::open(&file).unwrap_err().kind(), ErrorKind::Limit);
    }

    #[test]
    fn there_must_be_one_pickle() {
        let root = |entries: &[(&str, &[u8])]| {
            let file = zip(entries, Oddity::default());
            Archive::open(&file).unwrap().root().unwrap_err().message().to_owned()
        };
        assert!(root(&[("x/other", b"")]).contains("no data.pkl"));
        assert!(root(&[("x/data.pkl", b""), ("y/data.pkl", b"")]).contains("more than one"));
    }
}
