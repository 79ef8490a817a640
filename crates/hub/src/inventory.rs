//! What is in the cache, what of it is whole, and taking it away.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use imbed_core::{
    Error, ErrorKind, FetchScope, Result,
    error::nearest,
    fetch::{FileChoice, Files},
};

use crate::{
    cache::{Repo, failed},
    digest::Digest,
    hub::{Here, Hub, missing},
    name::ModelName,
};

/// A model in the cache, at one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// `org/name`.
    pub name: String,
    /// The commit.
    pub commit: String,
    /// The branches and tags that stood at it when they were last asked for.
    pub revisions: Vec<String>,
    /// The size of its files.
    pub bytes: u64,
    /// What is needed and not here; empty if one of the choices of files is complete. Of several that are not, the one that
    /// has most of its files here is taken for the one that was meant.
    pub missing: Vec<String>,
    /// When one of its files was last read, as far as the file system keeps count of that.
    pub last_used: Option<SystemTime>,
    /// The folder with its files.
    pub folder: PathBuf,
}

/// What hashing the files of a model again has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// `org/name`.
    pub name: String,
    /// Files that are what their checksums say.
    pub whole: usize,
    /// The size of those.
    pub bytes: u64,
    /// Files that are not, each with the reason.
    pub broken: Vec<(PathBuf, String)>,
    /// Files that no checksum is known of.
    pub unknown: Vec<PathBuf>,
}

/// What was taken out of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// `org/name`.
    pub name: String,
    /// The folder that is gone.
    pub folder: PathBuf,
    /// The space that is free again.
    pub bytes: u64,
}

impl Hub {
    /// Every model in the cache, by name, with one entry per commit. `choices` are those that may have been made of its files.
    pub fn list(&self, choices: &[Arc<dyn FileChoice>]) -> Result<Vec<Cached>> {
        let others = choices.iter().flat_map(|choice| choice.others());
        let choices: Vec<Arc<dyn FileChoice>> = choices.iter().cloned().chain(others).collect();
        let mut found = Vec::new();
        for repo in Repo::all(self.cache())? {
            let revisions = repo.revisions();
            for commit in repo.commits() {
                found.push(cached(&repo, commit, &revisions, &choices));
            }
        }
        Ok(found)
    }

    /// Hashes the files of `name`, or of every model, again. Nothing is changed.
    pub fn verify(&self, name: Option<&ModelName>) -> Result<Vec<Verified>> {
        let repos = match name {
            Some(name) => vec![self.existing(name)?],
            None => Repo::all(self.cache())?,
        };
        Ok(repos.iter().map(verify).collect())
    }

    /// Removes every commit of `name` from the cache.
    pub fn remove(&self, name: &ModelName) -> Result<Removed> {
        if let Some(revision) = name.named_revision() {
            return Err(Error::new(
                ErrorKind::BadInput,
                format!("'{name}' names the revision {revision}, and a model is removed as a whole"),
            )
            .hint(format!("`imbed models remove {}` removes all its revisions", name.repo())));
        }
        let repo = self.existing(name)?;
        // Nobody who downloads a file may find its folder gone.
        let mut held = Vec::new();
        for path in repo.locks() {
            let lock = File::create(&path).map_err(|e| failed(&path, e))?;
            match lock.try_lock() {
                Ok(()) | Err(TryLockError::Error(_)) => held.push(lock),
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::new(ErrorKind::Io, format!("{name} is being downloaded by another process"))
                        .hint("wait until it is done, or stop it"));
                }
            }
        }
        let bytes = size_of(&repo.folder);
        fs::remove_dir_all(&repo.folder).map_err(|e| failed(&repo.folder, e))?;
        drop(held);
        // Only a leftover, and gone already if Python was quicker.
        let _ = fs::remove_dir_all(repo.lock_folder());
        Ok(Removed { name: repo.name, folder: repo.folder, bytes })
    }

    fn existing(&self, name: &ModelName) -> Result<Repo> {
        let repo = self.repo(name);
        if repo.folder.is_dir() {
            return Ok(repo);
        }
        let known: Vec<String> = Repo::all(self.cache())?.into_iter().map(|repo| repo.name).collect();
        let meant = match nearest(name.repo(), known.iter().map(String::as_str)).first() {
            Some(meant) => format!("did you mean {meant}? "),
            None => String::new(),
        };
        let place = self.cache().display();
        Err(Error::new(ErrorKind::UnknownModel, format!("{} is not in the cache {place}", name.repo()))
            .hint(format!("{meant}`imbed models list` shows what is")))
    }
}

fn cached(repo: &Repo, commit: String, revisions: &[(String, String)], choices: &[Arc<dyn FileChoice>]) -> Cached {
    let folder = repo.snapshot(&commit);
    let files: Vec<fs::Metadata> =
        repo.files(&commit).iter().filter_map(|name| fs::metadata(folder.join(name)).ok()).collect();
    let used = |file: &fs::Metadata| file.accessed().or_else(|_| file.modified()).ok();
    let missing = lacking(&Here { repo, commit: &commit }, choices);
    Cached {
        name: repo.name.clone(),
        revisions: revisions.iter().filter(|(_, at)| *at == commit).map(|(name, _)| name.clone()).collect(),
        bytes: files.iter().map(fs::Metadata::len).sum(),
        missing,
        last_used: files.iter().filter_map(used).max(),
        folder,
        commit,
    }
}

/// What is not here of the choice that has most of its files here.
fn lacking(here: &dyn Files, choices: &[Arc<dyn FileChoice>]) -> Vec<String> {
    let mut best: Option<(usize, Vec<String>)> = None;
    for choice in choices {
        let (present, missing) = match choice.wanted(here, FetchScope::Everything) {
            Ok(wanted) => {
                let missing = missing(here, &wanted);
                (wanted.files.len() - missing.len(), missing)
            }
            Err(error) => (0, vec![error.message().to_owned()]),
        };
        if missing.is_empty() {
            return missing;
        }
        if best.as_ref().is_none_or(|(most, _)| present > *most) {
            best = Some((present, missing));
        }
    }
    best.map(|(_, missing)| missing).unwrap_or_default()
}

fn verify(repo: &Repo) -> Verified {
    let mut verified =
        Verified { name: repo.name.clone(), whole: 0, bytes: 0, broken: Vec::new(), unknown: Vec::new() };
    let names = names_of_blobs(repo);
    for blob in repo.blobs().into_iter().filter(|name| !name.ends_with(".incomplete")) {
        let path = repo.folder.join("blobs").join(&blob);
        let Some(digest) = Digest::of_etag(&blob) else {
            verified.unknown.push(path);
            continue;
        };
        let shown = names.get(&blob).cloned().unwrap_or_else(|| path.clone());
        match hash(&path, &digest) {
            Ok((true, size)) => {
                verified.whole += 1;
                verified.bytes += size;
            }
            Ok((false, _)) => verified.broken.push((shown, format!("its content is not {digest}"))),
            Err(e) => verified.broken.push((shown, format!("it cannot be read: {e}"))),
        }
    }
    for commit in repo.commits() {
        for name in repo.dangling(&commit) {
            let why = "it links to content that is gone".to_owned();
            verified.broken.push((repo.snapshot(&commit).join(name), why));
        }
        // Files that stand in the snapshot itself, where links cannot be had, have lost their checksums.
        for name in repo.files(&commit) {
            let path = repo.snapshot(&commit).join(&name);
            let is_link = fs::symlink_metadata(&path).is_ok_and(|file| file.file_type().is_symlink());
            if !is_link && !names.values().any(|known| *known == path) {
                verified.unknown.push(path);
            }
        }
    }
    verified
}

/// Whether the file at `path` is what `digest` names, and its size.
fn hash(path: &Path, digest: &Digest) -> io::Result<(bool, u64)> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    Ok((digest.matches(file, size)?, size))
}

/// Which file of a snapshot shows the content of each blob.
fn names_of_blobs(repo: &Repo) -> BTreeMap<String, PathBuf> {
    let mut names = BTreeMap::new();
    for commit in repo.commits() {
        for name in repo.files(&commit) {
            let path = repo.snapshot(&commit).join(name);
            let target = fs::read_link(&path).ok();
            if let Some(blob) = target.as_deref().and_then(Path::file_name).and_then(|blob| blob.to_str()) {
                names.entry(blob.to_owned()).or_insert(path);
            }
        }
    }
    names
}

/// What the files under `folder` take, each once.
fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => size_of(&entry.path()),
            Ok(found) if found.is_file() => found.len(),
            _ => 0,
        })
        .sum()
}
