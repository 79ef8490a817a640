//! The chunks of a PNG, and a reader of those that are worth their memory.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// Bytes of a text or of EXIF, and how many texts: more is no honest metadata, and whatever is read is kept.
pub(super) const MOST_TEXT: usize = 2 << 20;
const MOST_EXIF: usize = 2 << 20;
const MOST_TEXTS: usize = 256;

/// Signature, and then chunks: a length, a kind, data, a sum.
const SIGNATURE: usize = 8;
const BEFORE_DATA: usize = 8;
const AFTER_DATA: usize = 4;

pub(super) struct Chunk<'a> {
    pub(super) kind: [u8; 4],
    pub(super) data: &'a [u8],
    /// Whether the file ends within it.
    pub(super) cut: bool,
    /// All of it.
    whole: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// The chunk at the start of `bytes`; `None` where not even its kind is there.
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let (length, after) = bytes.split_first_chunk()?;
        let (&kind, after) = after.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        let data = after.get(..length).unwrap_or(after);
        let end = (BEFORE_DATA + AFTER_DATA).saturating_add(length).min(bytes.len());
        Some(Self { kind, data, cut: after.len() < length, whole: &bytes[..end] })
    }
}

/// The chunks up to the last.
pub(super) fn chunks(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    std::iter::from_fn(move || {
        let chunk = Chunk::first(rest)?;
        rest = if chunk.kind == *b"IEND" { &[] } else { &rest[chunk.whole.len()..] };
        Some(chunk)
    })
}

/// A file without its excessive metadata. What is left out has nothing to say that is looked at.
pub(super) struct Kept<'a> {
    /// What is given next.
    now: &'a [u8],
    rest: &'a [u8],
    texts: usize,
}

impl<'a> Kept<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let (now, rest) = bytes.split_at(bytes.len().min(SIGNATURE));
        Self { now, rest, texts: 0 }
    }

    fn keeps(&mut self, chunk: &Chunk<'_>) -> bool {
        match &chunk.kind {
            b"tEXt" | b"zTXt" | b"iTXt" => {
                self.texts += 1;
                self.texts <= MOST_TEXTS && chunk.data.len() <= MOST_TEXT
            }
            b"eXIf" => chunk.data.len() <= MOST_EXIF,
            _ => true,
        }
    }
}

impl Read for Kept<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let part = self.fill_buf()?;
        let length = part.len().min(buffer.len());
        buffer[..length].copy_from_slice(&part[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Kept<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.now.is_empty() {
            let Some(chunk) = Chunk::first(self.rest) else {
                // Less than a chunk's start, whose end is for others to miss.
                (self.now, self.rest) = (self.rest, &[]);
                break;
            };
            self.rest = &self.rest[chunk.whole.len()..];
            if self.keeps(&chunk) {
                self.now = chunk.whole;
            }
        }
        Ok(self.now)
    }

    fn consume(&mut self, length: usize) {
        self.now = &self.now[length.min(self.now.len())..];
    }
}

/// The crate `png` asks for it and never seeks.
impl Seek for Kept<'_> {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(kind: [u8; 4], length: usize) -> Vec<u8> {
        [&(length as u32).to_be_bytes()[..], &kind, &vec![7; length], b"sum!"].concat()
    }

    fn kept(parts: &[Vec<u8>]) -> Vec<u8> {
        let file = [b"12345678".to_vec(), parts.concat()].concat();
        let mut out = Vec::new();
        Kept::new(&file).read_to_end(&mut out).unwrap();
        out[SIGNATURE..].to_vec()
    }

    #[test]
    fn metadata_is_kept_as_long_as_it_is_little() {
        let (header, picture) = (chunk(*b"IHDR", 13), chunk(*b"IDAT", 99));
        let all = [header.clone(), chunk(*b"tEXt", 50), chunk(*b"eXIf", 50), picture.clone()];
        assert_eq!(kept(&all), all.concat());
        let large = [header.clone(), chunk(*b"iTXt", MOST_TEXT + 1), chunk(*b"eXIf", MOST_EXIF + 1), picture.clone()];
        assert_eq!(kept(&large), [header.clone(), picture.clone()].concat());
        let many = [vec![header.clone()], vec![chunk(*b"zTXt", 0); MOST_TEXTS + 9], vec![picture.clone()]].concat();
        assert_eq!(kept(&many), many[..=MOST_TEXTS].concat().into_iter().chain(picture).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_is_cut_is_given_to_its_end() {
        let file = [chunk(*b"IHDR", 13), chunk(*b"IDAT", 99)].concat();
        for length in 0..file.len() {
            assert_eq!(kept(&[file[..length].to_vec()]), file[..length], "{length}");
        }
        let last: Vec<_> = chunks(&[&b"12345678"[..], &file[..50]].concat()).map(|c| (c.kind, c.cut)).collect();
        assert_eq!(last, [(*b"IHDR", false), (*b"IDAT", true)]);
    }
}
