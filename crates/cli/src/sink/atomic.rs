//! Files that appear whole or not at all: written beside their target under another name, then renamed.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use imbed::core::{Error, ErrorKind, Result};
use tempfile::NamedTempFile;

/// The temporary files of this process, for the moment when it must end without unwinding.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes every file that was not finished.
pub(crate) fn remove_unfinished() {
    // The last first: folders before what is in them.
    for path in UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).drain(..).rev() {
        // Nobody is left to be told of a failure.
        let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir(path));
    }
}

/// Lets a file or an empty folder be removed with those that are not finished, until it is [kept](keep).
pub(super) fn unfinished(path: PathBuf) {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).push(path);
}

/// Lets a file or folder stay.
pub(super) fn keep(path: &Path) {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| other != path);
}

/// Makes what was renamed or made in `folder` outlast a loss of power, where the system can.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        // A file system that has nothing to do here says so.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// Refuses a target that exists, or whose folder does not.
pub(super) fn check(target: &Path, overwrite: bool) -> Result<()> {
    let refuse = |what: &str| Error::new(ErrorKind::BadInput, format!("{}: {what}", target.display()));
    if target.is_dir() {
        return Err(refuse("the output is a folder").hint("name a file in it"));
    }
    if !overwrite && target.symlink_metadata().is_ok() {
        return Err(refuse("the output exists").hint("pass --overwrite to replace it, or name another file"));
    }
    let folder = folder_of(target);
    if folder.is_dir() {
        return Ok(());
    }
    Err(refuse("the output's folder does not exist").hint(format!("make it first: mkdir -p {}", folder.display())))
}

/// The folder that `target` is in.
pub(super) fn folder_of(target: &Path) -> &Path {
    target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A file that is being written. Dropping it removes it; [`commit`](Self::commit) gives it its name.
#[derive(Debug)]
pub(super) struct AtomicFile {
    file: NamedTempFile,
    target: PathBuf,
    overwrite: bool,
}

impl AtomicFile {
    pub(super) fn create(target: &Path, overwrite: bool) -> Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        Self::create_in(folder_of(target), &name, target, overwrite)
    }

    /// The same in another folder of the same file system, under a name that begins with `.name.` and ends with `.partial`.
    pub(super) fn create_in(folder: &Path, name: &str, target: &Path, overwrite: bool) -> Result<Self> {
        let prefix = format!(".{name}.");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".partial");
        // As any new file: what the user's mask leaves, not the owner-only mode of secrets.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder).map_err(|e| Error::io(target.display(), e))?;
        unfinished(file.path().to_owned());
        Ok(Self { file, target: target.to_owned(), overwrite })
    }

    /// Renames the file to another target than was said.
    pub(super) fn commit_to(mut self, target: &Path, overwrite: bool) -> Result<super::Written> {
        (self.target, self.overwrite) = (target.to_owned(), overwrite);
        self.commit()
    }

    /// Renames the file to its target and gives its size in bytes.
    pub(super) fn commit(self) -> Result<super::Written> {
        let Self { file, target, overwrite } = self;
        let temporary = file.path().to_owned();
        let io = |e| Error::io(target.display(), e);
        file.as_file().sync_all().map_err(io)?;
        let bytes = file.as_file().metadata().map_err(io)?.len();
        // Whoever made a file of that name while we worked keeps it.
        let renamed = if overwrite { file.persist(&target) } else { file.persist_noclobber(&target) };
        renamed.map_err(|e| io(e.error))?;
        keep(&temporary);
        sync_folder(folder_of(&target)).map_err(io)?;
        Ok(super::Written { path: target, bytes })
    }

    /// What was written. The file is removed.
    #[cfg(feature = "sql")]
    pub(super) fn into_bytes(mut self) -> Result<Vec<u8>> {
        use io::Read;
        let mut bytes = Vec::new();
        let read = self.file().rewind().and_then(|()| self.file().read_to_end(&mut bytes));
        keep(self.file.path());
        read.map(|_| bytes).map_err(|e| Error::io(self.target.display(), e))
    }

    /// The name that the file will have.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file().seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_it_is_committed_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.bin");
        let mut file = AtomicFile::create(&target, false).unwrap();
        file.write_all(b"abc").unwrap();
        assert!(!target.exists());
        assert_eq!(file.commit().unwrap().bytes, 3);
        assert_eq!(std::fs::read(&target).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(AtomicFile::create(&dir.path().join("out.bin"), false).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_came_meanwhile_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("out.bin");
        let file = AtomicFile::create(&target, false).unwrap();
        std::fs::write(&target, b"theirs").unwrap();
        assert!(file.commit().is_err());
        assert_eq!(std::fs::read(&target).unwrap(), b"theirs");
    }

    #[test]
    fn what_cannot_be_written_is_refused_with_a_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("there");
        std::fs::write(&file, b"").unwrap();
        assert!(check(&file, false).unwrap_err().hint_text().unwrap().contains("--overwrite"));
        assert!(check(&file, true).is_ok());
        assert!(check(dir.path(), true).is_err());
        assert!(check(&dir.path().join("no/such"), true).unwrap_err().hint_text().unwrap().contains("mkdir"));
    }
}
