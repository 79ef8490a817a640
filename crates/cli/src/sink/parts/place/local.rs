//! Parts in a folder of this machine.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use imbed::core::{Error, ErrorKind, Result, footer};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::Place;
use crate::sink::atomic::{self, AtomicFile};

/// The file whose lock says that a process is at work here. The system lets go of the lock when the process ends, however it ends.
const LOCK: &str = ".imbed.lock";

/// How the names of files begin that are being written, behind a dot.
const WRITING: &str = "imbed-writes";

#[derive(Debug)]
pub(in crate::sink::parts) struct Local {
    folder: PathBuf,
    /// Held as long as the place is.
    lock: Option<File>,
    /// Made by this process.
    made: bool,
    /// Goes away with the process, if it is empty.
    passing: bool,
}

impl Local {
    pub(in crate::sink::parts) fn new(folder: PathBuf) -> Self {
        Self { folder, lock: None, made: false, passing: false }
    }

    pub(in crate::sink::parts) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file that takes the place of `target`, beside the folder, when it is committed.
    pub(in crate::sink::parts) fn create_for(&self, target: &Path, overwrite: bool) -> Result<AtomicFile> {
        AtomicFile::create_in(&self.folder, WRITING, target, overwrite)
    }

    /// Removes the folder with what imbed hides in it. One that holds anything else stays.
    pub(in crate::sink::parts) fn dissolve(&mut self) {
        let lock = self.path(LOCK);
        // The lock before the folder, and both while it is held: who waits for it looks again.
        let _ = fs::remove_file(&lock);
        let _ = fs::remove_dir(&self.folder);
        atomic::keep(&lock);
        atomic::keep(&self.folder);
        (self.lock, self.passing) = (None, false);
    }

    fn io(&self, name: &str, error: io::Error) -> Error {
        Error::io(self.path(name).display(), error)
    }

    fn sync(&self) -> Result<()> {
        atomic::sync_folder(&self.folder).map_err(|e| Error::io(self.folder.display(), e))
    }

    fn lock(&self) -> Result<File> {
        let path = self.path(LOCK);
        loop {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
            let file = match file {
                Ok(file) => file,
                // Whoever held the folder has removed it.
                Err(e) if e.kind() == io::ErrorKind::NotFound && !self.folder.exists() => {
                    fs::create_dir(&self.folder).map_err(|e| Error::io(self.folder.display(), e))?;
                    continue;
                }
                Err(e) => return Err(self.io(LOCK, e)),
            };
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    let busy = format!("{}: another imbed is writing there", self.folder.display());
                    return Err(
                        Error::new(ErrorKind::BadInput, busy).hint("wait until it has ended, or name another output")
                    );
                }
                // Some network drives have no locks.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            if is_at(&file, &path) {
                return Ok(file);
            }
        }
    }
}

/// Whether `path` still leads to the open `file`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

impl Place for Local {
    fn shown(&self) -> String {
        self.folder.display().to_string()
    }

    fn names(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(self.folder.display(), e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|e| Error::io(self.folder.display(), e))?.file_name();
            let name = name.to_string_lossy().into_owned();
            if name != LOCK && !is_half_written(&name) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn hold(&mut self) -> Result<()> {
        match fs::create_dir(&self.folder) {
            Ok(()) => (self.made, self.passing) = (true, true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::io(self.folder.display(), e)),
        }
        if self.passing {
            atomic::unfinished(self.folder.clone());
            atomic::unfinished(self.path(LOCK));
        }
        let lock = self.lock();
        if lock.is_err() {
            self.passing = false;
            atomic::keep(&self.path(LOCK));
            atomic::keep(&self.folder);
        }
        self.lock = Some(lock?);
        // Nobody else is at work here, so nobody will finish these.
        let left = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for name in left.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
            if is_half_written(&name) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    fn stays(&mut self) {
        self.passing = false;
        atomic::keep(&self.path(LOCK));
        atomic::keep(&self.folder);
    }

    fn passes(&mut self) {
        self.passing = self.made;
    }

    fn footer(&self, name: &str) -> Result<(ParquetMetaData, u64)> {
        footer(&self.path(name))
    }

    fn create(&self) -> Result<AtomicFile> {
        self.create_for(&self.path("part"), false)
    }

    fn put(&self, file: AtomicFile, name: &str) -> Result<u64> {
        Ok(file.commit_to(&self.path(name), false)?.bytes)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        fs::rename(self.path(from), self.path(to)).map_err(|e| self.io(from, e))?;
        self.sync()
    }

    fn remove(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.io(name, e)),
            _ => Ok(()),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.io(name, e)),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut file = self.create_for(&self.path(name), true)?;
        file.write_all(bytes).map_err(|e| self.io(name, e))?;
        file.commit().map(drop)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if self.passing {
            self.dissolve();
        }
    }
}

fn is_half_written(name: &str) -> bool {
    name.strip_prefix('.').is_some_and(|name| name.starts_with(WRITING) && name.ends_with(".partial"))
}

/// What a Parquet file says of itself, and its size.
pub(in crate::sink::parts) fn footer(path: &Path) -> Result<(ParquetMetaData, u64)> {
    let io = |e| Error::io(path.display(), e);
    let file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    footer::check_file(&file).map_err(|e| e.context(path.display()))?;
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(&file)
        .map_err(|e| Error::new(ErrorKind::BadInput, format!("{}: {e}", path.display())).source(e))?;
    Ok((metadata, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_holds_a_folder_and_lets_go_of_it_when_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let place = || Local::new(dir.path().join("out"));
        let mut first = place();
        first.hold().unwrap();
        let busy = place().hold().unwrap_err();
        assert!(busy.message().contains("another imbed is writing there"), "{busy}");
        assert!(first.folder.exists());
        drop(first);
        assert!(!dir.path().join("out").exists(), "a folder that stayed empty goes away");
        let mut second = place();
        second.hold().unwrap();
        second.stays();
        drop(second);
        assert!(dir.path().join("out").exists());
        place().hold().unwrap();
    }

    #[test]
    fn what_a_dead_process_was_writing_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".imbed-writes.abc.partial", ".other.partial", "part-000000000000.parquet"] {
            fs::write(dir.path().join(name), b"x").unwrap();
        }
        let mut place = Local::new(dir.path().to_owned());
        place.hold().unwrap();
        assert_eq!(place.names().unwrap(), [".other.partial", "part-000000000000.parquet"]);
        assert!(!dir.path().join(".imbed-writes.abc.partial").exists());
    }

    #[test]
    fn small_files_are_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let place = Local::new(dir.path().to_owned());
        assert_eq!(place.read("x").unwrap(), None);
        place.write("x", b"one").unwrap();
        place.write("x", b"two").unwrap();
        assert_eq!(place.read("x").unwrap().unwrap(), b"two");
        assert_eq!(place.names().unwrap(), ["x"]);
    }
}
