//! The first bytes of the cache's files.

use std::io::{self, Read};

use super::Key;

/// What a file holds, as it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Keys,
    Vectors,
}

/// Of a header.
pub(super) const BYTES: usize = 64;

/// Of the layout of the files. Another one is another format, which is passed over.
const FORMAT: u32 = 1;

/// `kind`, format, numbers per vector, the key, and a checksum of all that.
pub(super) fn header(kind: Kind, key: &Key, size: usize) -> [u8; BYTES] {
    let mut header = [0; BYTES];
    header[..8].copy_from_slice(match kind {
        Kind::Keys => b"imbedkey",
        Kind::Vectors => b"imbedvec",
    });
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[12..16].copy_from_slice(&(size as u32).to_le_bytes());
    header[16..48].copy_from_slice(key.as_bytes());
    let checksum = blake3::hash(&header[..48]);
    header[48..].copy_from_slice(&checksum.as_bytes()[..16]);
    header
}

/// Reads a header and refuses any other than this one.
pub(super) fn check(file: &mut impl Read, kind: Kind, key: &Key, size: usize) -> io::Result<()> {
    let mut found = [0; BYTES];
    file.read_exact(&mut found)?;
    if found == header(kind, key, size) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "it belongs to another model, or is damaged"))
}
