//! Appending to the cache: one process to each segment, and never at the cost of a row.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Seek, SeekFrom, Write},
    path::PathBuf,
};

use super::{
    Key,
    header::{self, Kind, header},
    prefix,
    segment::{self, PREFIX_BYTES, push_record, record_bytes, whole},
};
use crate::fingerprint::Fingerprint;

/// Processes that may append at once; those beyond only read.
const MOST_SEGMENTS: u32 = 1024;

/// Appends to a segment, which it looks for when there is a first vector.
#[derive(Debug)]
pub(super) struct Writer {
    folder: PathBuf,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Open(Files),
    Failed(String),
}

/// A segment of one's own.
#[derive(Debug)]
struct Files {
    keys: File,
    vectors: File,
    /// Held as long as it is open.
    _lock: File,
}

impl Writer {
    /// Appends in `folder`, which is there.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, state: State::Idle }
    }

    pub(super) fn put<'a>(
        &mut self,
        key: &Key,
        size: usize,
        vectors: impl Iterator<Item = (&'a Fingerprint, &'a [f32])>,
    ) {
        if matches!(self.state, State::Failed(_)) {
            return;
        }
        let (mut prefixes, mut records) = (Vec::new(), Vec::new());
        for (image, vector) in vectors {
            prefixes.extend(prefix(image).to_le_bytes());
            push_record(&mut records, key, image, vector);
        }
        if prefixes.is_empty() {
            return;
        }
        if let Err(error) = self.write(key, size, &prefixes, &records) {
            let message = format!("{}: vectors are not kept any more: {error}", self.folder.display());
            tracing::warn!("{message}");
            // The segment is let go, for others to mend.
            self.state = State::Failed(message);
        }
    }

    pub(super) fn failure(&self) -> Option<&str> {
        match &self.state {
            State::Failed(message) => Some(message),
            _ => None,
        }
    }

    fn write(&mut self, key: &Key, size: usize, prefixes: &[u8], records: &[u8]) -> io::Result<()> {
        if let State::Idle = self.state {
            self.state = State::Open(self.open(key, size)?);
        }
        if let State::Open(files) = &mut self.state {
            // In this order: a key that is there has its vector.
            files.vectors.write_all(records)?;
            files.keys.write_all(prefixes)?;
        }
        Ok(())
    }

    /// The first segment that nobody appends to, or a new one.
    fn open(&self, key: &Key, size: usize) -> io::Result<Files> {
        for number in 0..MOST_SEGMENTS {
            let lock = segment::lock(&self.folder, number);
            let lock = OpenOptions::new().create(true).truncate(false).write(true).open(lock)?;
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) => continue,
                // Without locks, as on some network drives, a segment that is there may be somebody's.
                Err(TryLockError::Error(_)) if segment::keys(&self.folder, number).exists() => continue,
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            match self.mend(number, key, size) {
                Ok((keys, vectors)) => {
                    self.tell(key);
                    return Ok(Files { keys, vectors, _lock: lock });
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other(format!("{MOST_SEGMENTS} processes append there already")))
    }

    /// Opens both files of a segment, with a header each and as many whole records, ready to append.
    fn mend(&self, number: u32, key: &Key, size: usize) -> io::Result<(File, File)> {
        let files = [
            (Kind::Keys, segment::keys(&self.folder, number), PREFIX_BYTES),
            (Kind::Vectors, segment::vectors(&self.folder, number), record_bytes(size)),
        ];
        let mut opened = Vec::new();
        let mut rows = u32::MAX;
        for (kind, path, bytes) in &files {
            let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
            if file.metadata()?.len() < header::BYTES as u64 {
                file.set_len(0)?;
                file.write_all(&header(*kind, key, size))?;
            } else {
                header::check(&mut file, *kind, key, size)?;
            }
            rows = rows.min(whole(&file, *bytes)?);
            opened.push(file);
        }
        if rows == u32::MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is full"));
        }
        for (file, (_, _, bytes)) in opened.iter_mut().zip(&files) {
            file.set_len(header::BYTES as u64 + u64::from(rows) * *bytes as u64)?;
            file.seek(SeekFrom::End(0))?;
        }
        match <[File; 2]>::try_from(opened) {
            Ok([keys, vectors]) => Ok((keys, vectors)),
            Err(_) => Err(io::Error::other("a segment has two files")),
        }
    }

    /// Writes down what the key stands for. Nobody reads it but people, so it may fail.
    fn tell(&self, key: &Key) {
        let path = self.folder.join("about.json");
        if !path.exists() {
            let _ = fs::write(path, format!("{:#}\n", key.about()));
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use imbed_core::{arrow::Provenance, image::DecodeOptions};

    use super::*;

    #[test]
    fn a_full_disk_is_a_failure_of_the_cache_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::new(&Provenance::default(), 2, &[], &DecodeOptions::default()).unwrap();
        let mut writer = Writer::new(folder.path().to_owned());
        let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
        writer.state = State::Open(Files { keys: full(), vectors: full(), _lock: full() });
        writer.put(&key, 2, [(&Fingerprint::made_of(0), &[1.0, 2.0][..])].into_iter());
        assert!(writer.failure().unwrap().contains("No space left"), "{:?}", writer.failure());
    }
}
