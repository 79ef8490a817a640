//! A store whose errors carry ours: which URL, why, and the next step.
//!
//! DataFusion reads and writes tables through stores too, so its errors are as good as those of `images(…)`.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, path::Path,
};

use super::{
    Service,
    failure::describe,
    list::{whole, with_patience},
    upload::Upload,
};

pub(super) struct Explained {
    inner: Arc<dyn ObjectStore>,
    place: Place,
}

/// Where the store is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    service: Service,
    /// Such as `s3://bucket`.
    root: Arc<str>,
}

impl Explained {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, service: Service, root: &str) -> Self {
        Self { inner, place: Place { service, root: root.into() } }
    }

    /// The objects below `prefix`, behind `start` if there is one.
    fn listed(&self, prefix: Option<&Path>, start: Option<Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, below, place) = (Arc::clone(&self.inner), prefix.cloned(), self.place.clone());
        let open = move |last: Option<&Path>| match last.or(start.as_ref()) {
            Some(key) => inner.list_with_offset(below.as_ref(), key),
            None => inner.list(below.as_ref()),
        };
        let listed = with_patience(self.place.lists_in_order(), open).map_err(self.place.below(prefix));
        listed.map_ok(move |meta| place.told_apart(meta)).boxed()
    }
}

impl Place {
    fn lists_in_order(&self) -> bool {
        self.service.lists_in_order(self.root.rsplit('/').next().unwrap_or_default())
    }

    /// `error` with the reason as people read it, and of the same sort, which callers act on.
    pub(super) fn explain(&self, path: &str, error: Error) -> Error {
        let ours = Box::new(describe(self.service, &format!("{}/{path}", self.root), &error));
        match error {
            Error::NotFound { path, .. } => Error::NotFound { path, source: ours },
            Error::AlreadyExists { path, .. } => Error::AlreadyExists { path, source: ours },
            Error::Precondition { path, .. } => Error::Precondition { path, source: ours },
            Error::NotModified { path, .. } => Error::NotModified { path, source: ours },
            Error::PermissionDenied { path, .. } => Error::PermissionDenied { path, source: ours },
            Error::Unauthenticated { path, .. } => Error::Unauthenticated { path, source: ours },
            Error::NotSupported { .. } | Error::NotImplemented { .. } => Error::NotSupported { source: ours },
            _ => Error::Generic { store: self.service.name(), source: ours },
        }
    }

    /// `meta` with its time moved by less than a microsecond, by the store's address and the object's version.
    ///
    /// DataFusion keeps what it has read of a Parquet file by its key, size and time, and would take another bucket's file for it
    /// that agrees in these, as copies made within one second do.
    fn told_apart(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let mut hasher = DefaultHasher::new();
        (&self.root, &meta.e_tag).hash(&mut hasher);
        meta.last_modified += Duration::from_nanos(hasher.finish() % 1000);
        meta
    }

    pub(super) fn at(&self, path: &Path) -> impl Fn(Error) -> Error + Send + Sync + use<> {
        let (place, path) = (self.clone(), path.to_string());
        move |error| place.explain(&path, error)
    }

    fn below(&self, prefix: Option<&Path>) -> impl Fn(Error) -> Error + Send + Sync + use<> {
        let (place, prefix) = (self.clone(), prefix.map(|prefix| format!("{prefix}/")).unwrap_or_default());
        move |error| place.explain(&prefix, error)
    }
}

#[async_trait]
impl ObjectStore for Explained {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, options).await.map_err(self.place.at(location))
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.inner.put_multipart_opts(location, options).await.map_err(self.place.at(location))?;
        Ok(Box::new(Upload::new(upload, &self.inner, self.place.clone(), location)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut result = self.inner.get_opts(location, options).await.map_err(self.place.at(location))?;
        result.meta = self.place.told_apart(result.meta);
        result.payload = match result.payload {
            GetResultPayload::Stream(bytes) => GetResultPayload::Stream(bytes.map_err(self.place.at(location)).boxed()),
            file @ GetResultPayload::File(..) => file,
        };
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await.map_err(self.place.at(location))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations).map_err(self.place.below(None)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, None)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix, Some(offset.clone()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let listed = whole(|| self.inner.list_with_delimiter(prefix)).await;
        let mut listed = listed.map_err(self.place.below(prefix))?;
        listed.objects = listed.objects.into_iter().map(|meta| self.place.told_apart(meta)).collect();
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await.map_err(self.place.at(from))
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await.map_err(self.place.at(from))
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place.root)
    }
}

// What a store of `object_store` prints of itself holds its settings.
impl fmt::Debug for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explained").field("place", &self.place).finish_non_exhaustive()
    }
}
