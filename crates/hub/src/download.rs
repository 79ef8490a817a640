//! One file of the hub, into the cache: whole and verified, or not at all.
//!
//! The content arrives in `blobs/<digest>.incomplete`, is hashed on its way, and gets its name when its hash is that name.
//! Whatever interrupts a download, the next one goes on where it stopped. A lock on a file of its own keeps others from
//! doing the same work; correctness does not hang on it, as nothing that hashes wrongly is ever given its name.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use imbed_core::{Error, FetchProgress, Result};
use ureq::http::StatusCode;

use crate::{
    cache::{Repo, create_parent, failed, nobody_elses},
    digest::Hasher,
    http::{Client, Method, request},
    listing::{RemoteFile, file_url, refused},
    name::ModelName,
};

/// The bytes of several files as one count.
pub(crate) struct Counted<'a> {
    pub(crate) progress: &'a mut dyn FetchProgress,
    /// Bytes of the files that are done.
    pub(crate) before: u64,
}

impl Counted<'_> {
    fn at(&mut self, bytes: u64) {
        self.progress.position(self.before + bytes);
    }
}

/// A file that is being fetched.
pub(crate) struct Fetch<'a> {
    pub(crate) client: &'a Client,
    pub(crate) repo: &'a Repo,
    pub(crate) model: &'a ModelName,
    pub(crate) commit: &'a str,
    pub(crate) file: &'a RemoteFile,
}

/// What stops a download for now, or for good.
enum Stop {
    /// The connection broke; what came is kept.
    Broken(Error),
    Fatal(Error),
}

impl Fetch<'_> {
    /// Puts the content into the cache, unless it is there.
    pub(crate) fn run(&self, counted: &mut Counted<'_>) -> Result<()> {
        let blob = self.repo.blob(&self.file.digest);
        if !is_here(&blob, self.file.size) {
            create_parent(&blob)?;
            let lock = self.lock(counted)?;
            // Perhaps the process that held the lock has done the work.
            if !is_here(&blob, self.file.size) {
                let partial = self.partial(&blob, lock.is_some());
                self.download(&partial, counted)?;
                fs::rename(&partial, &blob).map_err(|e| failed(&blob, e))?;
            }
        }
        counted.at(self.file.size);
        Ok(())
    }

    /// Waits until nobody else writes this content. `None` on a file system that knows no locks.
    fn lock(&self, counted: &mut Counted<'_>) -> Result<Option<File>> {
        let path = self.repo.lock(&self.file.digest);
        create_parent(&path)?;
        let file = File::create(&path).map_err(|e| failed(&path, e))?;
        let locked = match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                counted.progress.waiting(&format!("another process downloads {} of {}", self.file.name, self.model));
                file.lock()
            }
            Err(TryLockError::Error(e)) => Err(e),
        };
        match locked {
            Ok(()) => Ok(Some(file)),
            Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(e) => Err(failed(&path, e)),
        }
    }

    /// Where the content arrives. Without a lock the name is this download's own, as two writers would spoil each other's.
    fn partial(&self, blob: &Path, locked: bool) -> PathBuf {
        let own = if locked { String::new() } else { format!(".{}", nobody_elses()) };
        blob.with_file_name(format!("{}{own}.incomplete", self.file.digest.hex()))
    }

    fn download(&self, partial: &Path, counted: &mut Counted<'_>) -> Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(partial)
            .map_err(|e| failed(partial, e))?;
        let resumed = self.resume(&mut file).map_err(|e| failed(partial, e))?;
        let mut got = Got { bytes: resumed.0, hasher: resumed.1 };
        let began_with = got.bytes;
        self.receive(&mut file, partial, &mut got, counted)?;
        let mut right = got.hasher.clone().finish() == self.file.digest.hex();
        if !right && began_with > 0 {
            // What an earlier download left may be the part that is wrong.
            got = self.restart(&mut file).map_err(|e| failed(partial, e))?;
            self.receive(&mut file, partial, &mut got, counted)?;
            right = got.hasher.finish() == self.file.digest.hex();
        }
        if !right {
            drop(file);
            fs::remove_file(partial).map_err(|e| failed(partial, e))?;
            let name = &self.file.name;
            return Err(request(
                self.client.host(),
                format!("what came for '{name}' of {} is not {}", self.model, self.file.digest),
            )
            .hint("nothing of it was kept; try again, and if it stays so, look for a proxy that changes content"));
        }
        file.sync_all().map_err(|e| failed(partial, e))
    }

    /// How much of the content is here already, and its hash so far.
    fn resume(&self, file: &mut File) -> io::Result<(u64, Hasher)> {
        if file.metadata()?.len() > self.file.size {
            file.set_len(0)?;
        }
        let mut hasher = self.file.digest.hasher(self.file.size);
        let mut buffer = vec![0; 1 << 18];
        let mut bytes = 0;
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok((bytes, hasher)),
                n => {
                    hasher.update(&buffer[..n]);
                    bytes += n as u64;
                }
            }
        }
    }

    fn restart(&self, file: &mut File) -> io::Result<Got> {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Got { bytes: 0, hasher: self.file.digest.hasher(self.file.size) })
    }

    /// Asks for the rest until all of it is here. Tries in vain are counted from the last byte that came.
    fn receive(&self, file: &mut File, partial: &Path, got: &mut Got, counted: &mut Counted<'_>) -> Result<()> {
        let mut failed_tries = 0;
        while got.bytes < self.file.size || self.file.size == 0 {
            counted.at(got.bytes);
            let before = got.bytes;
            match self.part(file, partial, got, counted) {
                Ok(()) => break,
                Err(Stop::Fatal(error)) => return Err(error),
                Err(Stop::Broken(error)) => {
                    failed_tries = if got.bytes > before { 1 } else { failed_tries + 1 };
                    if failed_tries >= self.client.tries() {
                        return Err(error);
                    }
                    counted.progress.waiting(error.message());
                    self.client.pause(failed_tries, None);
                }
            }
        }
        Ok(())
    }

    /// One request for what is missing.
    fn part(&self, file: &mut File, partial: &Path, got: &mut Got, counted: &mut Counted<'_>) -> Result<(), Stop> {
        let url = file_url(self.client, self.model, self.commit, &self.file.name);
        let answer = self.client.ask(Method::Get(got.bytes), &url, counted.progress).map_err(Stop::Fatal)?;
        let disk = |e| Stop::Fatal(failed(partial, e));
        match answer.status() {
            StatusCode::PARTIAL_CONTENT if starts_at(answer.header("content-range"), got.bytes) => {}
            // All of it from the beginning, from a server that does not give parts or has another idea of the size.
            status if status.is_success() => {
                if got.bytes > 0 {
                    *got = self.restart(file).map_err(disk)?;
                }
                if status == StatusCode::PARTIAL_CONTENT {
                    return Err(Stop::Broken(self.broken("another part came than was asked for")));
                }
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                *got = self.restart(file).map_err(disk)?;
                return Err(Stop::Broken(self.broken("the part that is missing cannot be had")));
            }
            _ => return Err(Stop::Fatal(refused(self.client, self.model, &answer, Some(&self.file.name)))),
        }
        let mut body = answer.response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Stop::Broken(self.broken(&e.to_string()))),
            };
            if got.bytes + n as u64 > self.file.size {
                return Err(Stop::Fatal(self.too_long(partial)));
            }
            file.write_all(&buffer[..n]).map_err(disk)?;
            got.hasher.update(&buffer[..n]);
            got.bytes += n as u64;
            counted.at(got.bytes);
        }
        if got.bytes < self.file.size {
            return Err(Stop::Broken(self.broken("the content ends too early")));
        }
        Ok(())
    }

    fn broken(&self, why: &str) -> Error {
        request(self.client.host(), format!("the download of '{}' broke off: {why}", self.file.name))
            .temporary(true)
            .hint("run the same again: it goes on where it stopped")
    }

    fn too_long(&self, partial: &Path) -> Error {
        let _ = fs::remove_file(partial);
        let message = format!("more came for '{}' of {} than its {} bytes", self.file.name, self.model, self.file.size);
        request(self.client.host(), message)
            .hint("nothing of it was kept; try again, and if it stays so, look for a proxy that changes content")
    }
}

/// What has come so far.
struct Got {
    bytes: u64,
    hasher: Hasher,
}

/// Whether there is a file of this size: nothing gets its name in the cache before it is verified.
pub(crate) fn is_here(blob: &Path, size: u64) -> bool {
    fs::metadata(blob).is_ok_and(|file| file.is_file() && file.len() == size)
}

/// Whether `bytes 100-199/200` begins at `first`.
fn starts_at(range: Option<&str>, first: u64) -> bool {
    range
        .and_then(|range| range.trim().strip_prefix("bytes"))
        .and_then(|range| range.trim_start().split('-').next())
        .and_then(|start| start.trim().parse::<u64>().ok())
        .is_some_and(|start| start == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_where_it_begins() {
        assert!(starts_at(Some("bytes 100-199/200"), 100));
        assert!(!starts_at(Some("bytes 0-199/200"), 100));
        assert!(!starts_at(Some("nonsense"), 0));
        assert!(!starts_at(None, 0));
    }
}
