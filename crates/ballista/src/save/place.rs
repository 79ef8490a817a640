//! The folder that parts are written to.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    path::{Path as FilePath, PathBuf},
    sync::Arc,
};

use datafusion::{
    error::DataFusionError,
    execution::{object_store::ObjectStoreUrl, runtime_env::RuntimeEnv},
};
use futures::{StreamExt, TryStreamExt, stream};
use imbed_core::{Error, ErrorKind, Result};
use imbed_datafusion::cause;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use serde::{Deserialize, Serialize};
use url::Url;

use super::done::is_ours;

/// Footers that are read at once.
const LOOKS: usize = 16;

/// A folder for the parts of one query, and how they are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash, Serialize, Deserialize)]
pub struct Parts {
    /// Where they go, as a URL that ends with `/`.
    folder: String,
    /// A column of truth values that is not written: whether a row came without an image, and so did not fail.
    no_image: Option<String>,
    /// Tells the parts of this query from those of any other.
    run: String,
    /// Which parts of other queries are as good.
    earlier: Option<Earlier>,
}

/// Parts of earlier queries that are left as they are, where they hold the rows that would be written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash, Serialize, Deserialize)]
pub(super) struct Earlier {
    /// All that decides the rows of a part beside the files that they come from.
    pub(super) made: String,
    /// Not those in which rows have failed.
    pub(super) whole_only: bool,
}

impl Parts {
    /// A local folder, or one in a bucket: `embeddings/`, `s3://bucket/embeddings/`.
    pub fn new(folder: &str) -> Result<Self> {
        let wrong = |why: &str| Error::new(ErrorKind::BadInput, format!("{folder}: {why}"));
        let mut url = if folder.contains("://") {
            Url::parse(folder).map_err(|e| wrong(&format!("this is not a URL: {e}")))?
        } else {
            let path = std::path::absolute(folder).map_err(|e| Error::io(folder, e))?;
            Url::from_directory_path(path).map_err(|()| wrong("this is not the name of a folder"))?
        };
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self { folder: url.into(), no_image: None, run: new_run(), earlier: None })
    }

    /// Leaves the column `name` of truth values out of the files, and counts no row as failed in which it is true.
    #[must_use]
    pub fn with_no_image(mut self, name: &str) -> Self {
        self.no_image = Some(name.to_owned());
        self
    }

    pub(super) fn no_image(&self) -> Option<&str> {
        self.no_image.as_deref()
    }

    /// Leaves parts as they are that an earlier query has written with the same `made`, of files that have not changed. `made` names all
    /// that decides the rows of a part beside those files: the model, its options, the columns. If `whole_only`, parts in which rows
    /// have failed are written again.
    #[must_use]
    pub fn with_earlier(mut self, made: &str, whole_only: bool) -> Self {
        self.earlier = Some(Earlier { made: made.to_owned(), whole_only });
        self
    }

    pub(super) fn earlier(&self) -> Option<&Earlier> {
        self.earlier.as_ref()
    }

    /// The query that writes them: part of the footer of each.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// The folder as it is shown: a path, or the URL of a bucket.
    pub fn shown(&self) -> String {
        match self.local() {
            Some(path) => path.display().to_string(),
            None => self.folder.clone(),
        }
    }

    /// The folder of this machine that it is, if it is one.
    fn local(&self) -> Option<PathBuf> {
        Url::parse(&self.folder).ok().filter(|url| url.scheme() == "file")?.to_file_path().ok()
    }

    /// The store and the place in it.
    pub(super) fn store(&self, runtime: &RuntimeEnv) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let broken = |what: String| Error::new(ErrorKind::BadInput, format!("{}: {what}", self.folder));
        let url = Url::parse(&self.folder).map_err(|e| broken(e.to_string()))?;
        let root = format!("{}://{}/", url.scheme(), url.authority());
        let root = ObjectStoreUrl::parse(root).map_err(|e| cause(&e))?;
        let store = runtime.object_store(&root).map_err(|e| cause(&e).context(&self.folder))?;
        let path = Path::from_url_path(url.path()).map_err(|e| broken(e.to_string()))?;
        Ok((store, path))
    }

    /// The name of part `number` in the folder.
    pub(super) fn name(number: usize) -> String {
        format!("part-{number:05}.parquet")
    }

    /// The number of the part called `name`.
    pub(super) fn number_of(name: &str) -> Option<usize> {
        name.strip_prefix("part-")?.strip_suffix(".parquet")?.parse().ok()
    }

    /// Part `number` as messages name it.
    pub(super) fn shown_part(&self, number: usize) -> String {
        match self.local() {
            Some(path) => path.join(Self::name(number)).display().to_string(),
            None => format!("{}{}", self.folder, Self::name(number)),
        }
    }

    /// The parts that are there already.
    async fn existing(&self, runtime: &RuntimeEnv) -> Result<(Arc<dyn ObjectStore>, Vec<ObjectMeta>)> {
        let (store, folder) = self.store(runtime)?;
        let failed = |e: object_store::Error| Error::new(ErrorKind::Io, format!("{}: {e}", self.shown())).source(e);
        let listed: Vec<_> = store.list(Some(&folder)).try_collect().await.map_err(failed)?;
        let is_part = |object: &ObjectMeta| {
            let path = &object.location;
            path.filename().is_some_and(|name| name.starts_with("part-") && name.ends_with(".parquet"))
                && path.parts().count() == folder.parts().count() + 1
        };
        Ok((store, listed.into_iter().filter(is_part).collect()))
    }

    /// How many parts are there.
    pub async fn count(&self, runtime: &RuntimeEnv) -> Result<usize> {
        self.existing(runtime).await.map(|(_, parts)| parts.len())
    }

    /// Looks at the parts when all are written: an error if one is neither of this query nor of one before it that was made alike.
    ///
    /// A query whose client was killed goes on until the cluster ends it, and may write where another has begun.
    pub async fn check_made(&self, runtime: &RuntimeEnv) -> Result<()> {
        let (store, parts) = self.existing(runtime).await?;
        let store = store.as_ref();
        let mut looks = stream::iter(parts)
            .map(|part| async move { Ok::<_, DataFusionError>((is_ours(self, store, &part).await?, part)) })
            .buffer_unordered(LOOKS);
        while let Some(looked) = looks.next().await {
            let (ours, part) = looked.map_err(|e| cause(&e))?;
            if !ours {
                let name = part.location.filename().unwrap_or_default();
                let what = format!("{}: another run has written {name} in the meantime", self.shown());
                return Err(Error::new(ErrorKind::BadInput, what).hint("wait until that run has ended"));
            }
        }
        Ok(())
    }

    /// Sees to it that no parts are there: an error if there are some, unless they may be removed.
    pub async fn make_room(&self, runtime: &RuntimeEnv, overwrite: bool) -> Result<()> {
        let (store, parts) = self.existing(runtime).await?;
        if !parts.is_empty() && !overwrite {
            let what = format!("{}: there are {} parts already", self.shown(), parts.len());
            return Err(Error::new(ErrorKind::BadInput, what)
                .hint("name another folder, or remove them; `imbed embed` does so with --overwrite"));
        }
        for part in parts {
            let failed =
                |e: object_store::Error| Error::new(ErrorKind::Io, format!("{}: {e}", part.location)).source(e);
            store.delete(&part.location).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Removes what attempts left behind that did not come to an end: an executor that was killed cannot do so itself.
    ///
    /// Buckets do not show such remains, and have rules of their own to end them.
    pub fn tidy(&self) -> Result<()> {
        let Some(folder) = self.local() else { return Ok(()) };
        let failed = |e| Error::io(folder.display(), e);
        let entries = match std::fs::read_dir(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if is_remains(&path) {
                match std::fs::remove_file(&path) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(path.display(), e)),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// A name that no two queries share. The keys of the standard library's hashers are random, for each process and each hasher.
fn new_run() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// Whether `path` is what a store calls a part while it is being written: `part-00017.parquet#1`.
fn is_remains(path: &FilePath) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (part, attempt) = name.rsplit_once('#').unwrap_or_default();
    part.starts_with("part-")
        && part.ends_with(".parquet")
        && !attempt.is_empty()
        && attempt.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_buckets_are_places_for_parts() {
        assert_eq!(Parts::new("/tmp/out").unwrap().folder, "file:///tmp/out/");
        assert_eq!(Parts::new("/tmp/out/").unwrap().shown_part(17), "/tmp/out/part-00017.parquet");
        let bucket = Parts::new("s3://bucket/embeddings").unwrap();
        assert_eq!(bucket.shown_part(0), "s3://bucket/embeddings/part-00000.parquet");
        assert!(Parts::new("s3://[").is_err());
    }

    #[test]
    fn only_unfinished_parts_are_remains() {
        for (name, remains) in [
            ("part-00001.parquet#1", true),
            ("part-00001.parquet", false),
            ("part-00001.parquet#", false),
            ("notes.txt#1", false),
        ] {
            assert_eq!(is_remains(FilePath::new(name)), remains, "{name}");
        }
    }

    #[tokio::test]
    async fn parts_that_are_there_are_not_replaced_by_accident() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        for name in ["part-00000.parquet", "notes.txt", "part-00001.parquet#1"] {
            std::fs::write(file(name), b"x").unwrap();
        }
        let parts = Parts::new(dir.path().to_str().unwrap()).unwrap();
        let runtime = RuntimeEnv::default();
        let refused = parts.make_room(&runtime, false).await.unwrap_err();
        assert!(refused.message().contains("1 parts"), "{refused}");
        parts.make_room(&runtime, true).await.unwrap();
        parts.tidy().unwrap();
        assert!(file("notes.txt").exists() && !file("part-00000.parquet").exists());
        assert!(!file("part-00001.parquet#1").exists());
    }
}
