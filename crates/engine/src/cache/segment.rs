//! What one process has appended, and others after it: two files that grow together.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Key,
    header::{self, Kind},
};
use crate::fingerprint::Fingerprint;

/// Of the start of a fingerprint.
pub(super) const PREFIX_BYTES: usize = 8;
/// Of the checksum behind each vector.
const CHECKSUM_BYTES: usize = 16;

/// Vectors that can be read.
#[derive(Debug)]
pub(super) struct Segment {
    vectors: Mutex<File>,
}

impl Segment {
    /// Opens the segment `number` of `folder`, and reads the starts of all its fingerprints.
    pub(super) fn open(folder: &Path, number: u32, key: &Key, size: usize) -> io::Result<(Self, Vec<u64>)> {
        let (keys, mut vectors) = (File::open(keys(folder, number))?, File::open(self::vectors(folder, number))?);
        header::check(&mut vectors, Kind::Vectors, key, size)?;
        let rows = whole(&keys, PREFIX_BYTES)?.min(whole(&vectors, record_bytes(size))?);
        let mut keys = BufReader::with_capacity(1 << 16, keys);
        header::check(&mut keys, Kind::Keys, key, size)?;
        let mut prefixes = Vec::with_capacity(rows as usize);
        let mut prefix = [0; PREFIX_BYTES];
        for _ in 0..rows {
            keys.read_exact(&mut prefix)?;
            prefixes.push(u64::from_le_bytes(prefix));
        }
        Ok((Self { vectors: Mutex::new(vectors) }, prefixes))
    }

    /// The vector in row `row`, if it is that of `image`.
    pub(super) fn vector(&self, row: u32, key: &Key, image: &Fingerprint, size: usize) -> Option<Arc<[f32]>> {
        let mut record = vec![0; record_bytes(size)];
        let place = header::BYTES as u64 + u64::from(row) * record.len() as u64;
        let mut file = self.vectors.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.seek(SeekFrom::Start(place)).and_then(|_| file.read_exact(&mut record));
        drop(file);
        if let Err(error) = read {
            tracing::debug!(%error, "a vector of the cache cannot be read");
            return None;
        }
        let (numbers, sum) = record.split_at(size * size_of::<f32>());
        if checksum(key, image, numbers) != sum {
            return None;
        }
        Some(numbers.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }
}

/// Appends the record of a vector to `out`.
pub(super) fn push_record(out: &mut Vec<u8>, key: &Key, image: &Fingerprint, vector: &[f32]) {
    let start = out.len();
    out.extend(vector.iter().flat_map(|x| x.to_le_bytes()));
    let sum = checksum(key, image, &out[start..]);
    out.extend(sum);
}

fn checksum(key: &Key, image: &Fingerprint, numbers: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key.as_bytes()).update(image.as_bytes()).update(numbers);
    let mut sum = [0; CHECKSUM_BYTES];
    hasher.finalize_xof().fill(&mut sum);
    sum
}

/// Of a vector with its checksum.
pub(super) fn record_bytes(size: usize) -> usize {
    size * size_of::<f32>() + CHECKSUM_BYTES
}

/// Whole records of `bytes` bytes behind the header of `file`. As many as have a number.
pub(super) fn whole(file: &File, bytes: usize) -> io::Result<u32> {
    let behind = file.metadata()?.len().saturating_sub(header::BYTES as u64);
    Ok(u32::try_from(behind / bytes as u64).unwrap_or(u32::MAX))
}

/// The segments that there are in `folder`, in order.
pub(super) fn numbers(folder: &Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let number = |name: &str| name.strip_suffix(".keys")?.parse().ok();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect();
    numbers.sort_unstable();
    numbers
}

pub(super) fn keys(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.keys"))
}

pub(super) fn vectors(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.vectors"))
}

pub(super) fn lock(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.lock"))
}
