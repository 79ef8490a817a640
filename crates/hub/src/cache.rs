//! The Hugging Face cache on disk, shared with Python: what either downloads, the other finds.
//!
//! ```text
//! models--org--name/
//!     blobs/<digest>                     each file once, under its checksum
//!     refs/<revision>                    the commit that a branch or tag stood at
//!     snapshots/<commit>/<file>          links into blobs
//!     .no_exist/<commit>/<file>          an optional file that the model does not have
//! .locks/models--org--name/<digest>.lock held while a blob is written
//! ```

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use imbed_core::{Error, ErrorKind, Result};

use crate::{
    digest::Digest,
    name::{ModelName, is_commit},
};

const PREFIX: &str = "models--";

/// The folder of one model in the cache.
#[derive(Debug, Clone)]
pub(crate) struct Repo {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    locks: PathBuf,
}

impl Repo {
    /// The place of `name` in the cache at `root`; it need not exist.
    pub(crate) fn new(root: &Path, name: &ModelName) -> Self {
        Self::of_folder_name(root, name.repo(), &format!("{PREFIX}{}", name.repo().replace('/', "--")))
    }

    fn of_folder_name(root: &Path, name: &str, folder: &str) -> Self {
        Self { name: name.to_owned(), folder: root.join(folder), locks: root.join(".locks").join(folder) }
    }

    /// All models in the cache at `root`, by name.
    pub(crate) fn all(root: &Path) -> Result<Vec<Self>> {
        let mut repos: Vec<Self> = entries(root)?
            .into_iter()
            .filter(|folder| root.join(folder).is_dir())
            .filter_map(|folder| {
                let name = folder.strip_prefix(PREFIX)?.replacen("--", "/", 1);
                Some(Self::of_folder_name(root, &name, &folder))
            })
            .collect();
        repos.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(repos)
    }

    /// The commit that `revision` stood at when it was last asked for.
    pub(crate) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        is_commit(commit.trim()).then(|| commit.trim().to_owned())
    }

    /// Remembers that `revision` stands at `commit`.
    pub(crate) fn set_commit(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        // Renamed into place, so that nobody reads half of it.
        let new = path.with_file_name(format!(".{commit}.{}.tmp", nobody_elses()));
        create_parent(&path)?;
        fs::write(&new, commit).and_then(|()| fs::rename(&new, &path)).map_err(|e| failed(&path, e))
    }

    /// Every revision that is remembered, with its commit.
    pub(crate) fn revisions(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(prefix) = folders.pop() {
            let found_here = entries(&self.folder.join("refs").join(&prefix)).unwrap_or_default();
            // A name with a dot in front is one that is just being written.
            for entry in found_here.into_iter().filter(|entry| !entry.starts_with('.')) {
                let name = if prefix.is_empty() { entry } else { format!("{prefix}/{entry}") };
                if self.folder.join("refs").join(&name).is_dir() {
                    folders.push(name);
                } else if let Some(commit) = self.commit(&name) {
                    found.push((name, commit));
                }
            }
        }
        found.sort();
        found
    }

    /// The commits that have a folder of files, sorted.
    pub(crate) fn commits(&self) -> Vec<String> {
        let mut commits = entries(&self.folder.join("snapshots")).unwrap_or_default();
        commits.sort();
        commits
    }

    /// The folder with the files of `commit`.
    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// The names of the files of `commit`, in subfolders too, whose content is here.
    pub(crate) fn files(&self, commit: &str) -> BTreeSet<String> {
        let folder = self.snapshot(commit);
        let mut links = BTreeSet::new();
        walk(&folder, "", &mut links);
        links.retain(|name| folder.join(name).is_file());
        links
    }

    /// The names of links whose content is gone.
    pub(crate) fn dangling(&self, commit: &str) -> BTreeSet<String> {
        let folder = self.snapshot(commit);
        let mut links = BTreeSet::new();
        walk(&folder, "", &mut links);
        links.retain(|name| !folder.join(name).exists());
        links
    }

    /// Where the content with this digest is, or will be.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join(digest.hex())
    }

    /// The names in the folder of contents.
    pub(crate) fn blobs(&self) -> Vec<String> {
        let mut names = entries(&self.folder.join("blobs")).unwrap_or_default();
        names.sort();
        names
    }

    /// The file that is locked while the content with this digest is written; the same that Python locks.
    pub(crate) fn lock(&self, digest: &Digest) -> PathBuf {
        self.locks.join(format!("{}.lock", digest.hex()))
    }

    /// The files in use as locks.
    pub(crate) fn locks(&self) -> Vec<PathBuf> {
        entries(&self.locks).unwrap_or_default().into_iter().map(|name| self.locks.join(name)).collect()
    }

    /// The folder of the locks.
    pub(crate) fn lock_folder(&self) -> &Path {
        &self.locks
    }

    /// Makes the content with this digest the file `name` of `commit`.
    pub(crate) fn link(&self, commit: &str, name: &str, digest: &Digest) -> Result<()> {
        let link = self.snapshot(commit).join(name);
        if link.is_file() {
            return Ok(());
        }
        create_parent(&link)?;
        // A link to content that is gone; one that somebody made just now stays.
        if fs::symlink_metadata(&link).is_ok() && !link.is_file() {
            let _ = fs::remove_file(&link);
        }
        let up = "../".repeat(2 + name.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{}", digest.hex()));
        match symlink(&target, &link) {
            // Another process was quicker.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // Windows asks for a privilege, and some file systems have no links.
            Err(_) => {
                let blob = self.blob(digest);
                fs::hard_link(&blob, &link)
                    .or_else(|_| fs::copy(&blob, &link).map(|_| ()))
                    .map_err(|e| failed(&link, e))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Whether it is known that `commit` has no file `name`.
    pub(crate) fn is_known_absent(&self, commit: &str, name: &str) -> bool {
        self.folder.join(".no_exist").join(commit).join(name).is_file()
    }

    /// Remembers that `commit` has no file `name`.
    pub(crate) fn set_absent(&self, commit: &str, name: &str) -> Result<()> {
        let path = self.folder.join(".no_exist").join(commit).join(name);
        create_parent(&path)?;
        fs::write(&path, b"").map_err(|e| failed(&path, e))
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}

/// Makes the folder that `path` is to stand in.
pub(crate) fn create_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), |folder| fs::create_dir_all(folder).map_err(|e| failed(folder, e)))
}

/// A file of the cache that cannot be written or read.
pub(crate) fn failed(path: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull => "free some space, or put the cache elsewhere with HF_HOME; what is here is kept",
        _ => "the models' cache must be readable and writable; HF_HOME or HF_HUB_CACHE puts it elsewhere",
    };
    Error::new(ErrorKind::Io, format!("{}: {error}", path.display())).source(error).hint(hint)
}

/// The names in a folder; none where there is no such folder.
fn entries(folder: &Path) -> Result<Vec<String>> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(folder, e)),
    };
    Ok(read.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

fn walk(folder: &Path, prefix: &str, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{prefix}{name}");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &format!("{name}/"), names);
        } else {
            names.insert(name);
        }
    }
}

/// A part of a file's name that no other process and no other thread uses.
pub(crate) fn nobody_elses() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268";

    fn repo() -> (tempfile::TempDir, Repo) {
        let root = tempfile::tempdir().unwrap();
        let repo = Repo::new(root.path(), &ModelName::parse("a/b").unwrap());
        (root, repo)
    }

    #[test]
    fn a_revision_with_slashes_is_remembered_and_listed() {
        let (_root, repo) = repo();
        assert_eq!(repo.commit("main"), None);
        assert_eq!(repo.commit(COMMIT).as_deref(), Some(COMMIT), "a commit needs no memory");
        for revision in ["main", "refs/pr/15"] {
            repo.set_commit(revision, COMMIT).unwrap();
            assert_eq!(repo.commit(revision).as_deref(), Some(COMMIT));
        }
        let revisions: Vec<String> = repo.revisions().into_iter().map(|(name, _)| name).collect();
        assert_eq!(revisions, ["main", "refs/pr/15"]);
        fs::write(repo.folder.join("refs/main"), "../../..").unwrap();
        assert_eq!(repo.commit("main"), None, "only a commit is believed");
    }

    #[test]
    fn threads_that_remember_the_same_revision_do_not_take_each_others_files() {
        for _ in 0..50 {
            let (_root, repo) = repo();
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| repo.set_commit("main", COMMIT).unwrap());
                }
            });
            assert_eq!(repo.commit("main").as_deref(), Some(COMMIT));
        }
    }

    #[test]
    fn a_file_is_a_relative_link_to_its_content() {
        let (root, repo) = repo();
        let digest = Digest::of_etag(&"ab".repeat(20)).unwrap();
        create_parent(&repo.blob(&digest)).unwrap();
        fs::write(repo.blob(&digest), b"{}").unwrap();
        repo.link(COMMIT, "config.json", &digest).unwrap();
        repo.link(COMMIT, "sub/config.json", &digest).unwrap();
        assert_eq!(repo.files(COMMIT).into_iter().collect::<Vec<_>>(), ["config.json", "sub/config.json"]);
        // The cache may be moved as a whole.
        let moved = root.path().with_extension("moved");
        fs::rename(root.path(), &moved).unwrap();
        let repo = Repo::new(&moved, &ModelName::parse("a/b").unwrap());
        assert_eq!(fs::read(repo.snapshot(COMMIT).join("sub/config.json")).unwrap(), b"{}");
        fs::remove_file(repo.blob(&digest)).unwrap();
        assert!(repo.files(COMMIT).is_empty());
        assert_eq!(repo.dangling(COMMIT).len(), 2);
        fs::remove_dir_all(moved).unwrap();
    }

    #[test]
    fn all_models_are_found_by_their_names_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["models--b--c", "models--a--b-c", "datasets--x--y", ".locks", "models--gpt2"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        fs::write(root.path().join("models--file"), b"").unwrap();
        let names: Vec<String> = Repo::all(root.path()).unwrap().into_iter().map(|repo| repo.name).collect();
        assert_eq!(names, ["a/b-c", "b/c", "gpt2"]);
        assert!(Repo::all(&root.path().join("none")).unwrap().is_empty());
    }
}
