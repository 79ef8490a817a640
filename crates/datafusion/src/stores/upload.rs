//! An object that goes up in pieces, and whose end was perhaps heard though its answer was lost.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures::future::BoxFuture;
use object_store::{
    Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, PutResult, Result, UploadPart, path::Path,
};

use super::explained::Place;

/// How far the clocks of a service and of this machine may be apart.
const CLOCKS: Duration = Duration::from_mins(1);

pub(super) struct Upload {
    inner: Box<dyn MultipartUpload>,
    store: Arc<dyn ObjectStore>,
    place: Place,
    path: Path,
    began: SystemTime,
    bytes: u64,
}

impl Upload {
    /// `inner`, which goes to `path` of `store`.
    pub(super) fn new(
        inner: Box<dyn MultipartUpload>,
        store: &Arc<dyn ObjectStore>,
        place: Place,
        path: &Path,
    ) -> Self {
        let (store, path) = (Arc::clone(store), path.clone());
        Self { inner, store, place, path, began: SystemTime::now(), bytes: 0 }
    }
}

/// What an upload to `path` of so many `bytes` has become, if it has ended already: an object of its size that is no older than when
/// it `began`.
///
/// A service that has made an object knows nothing of its upload any more. If its answer is lost, the end is asked for again, and
/// there is no such upload.
async fn ended(store: &dyn ObjectStore, path: &Path, bytes: u64, began: SystemTime) -> Option<PutResult> {
    let object = store.head(path).await.ok()?;
    let began = began.checked_sub(CLOCKS)?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let is_it = object.size == bytes && object.last_modified.timestamp() >= began.as_secs().cast_signed();
    is_it.then_some(PutResult { e_tag: object.e_tag, version: object.version })
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.bytes += data.content_length() as u64;
        let part = self.inner.put_part(data);
        let explain = self.place.at(&self.path);
        let part: BoxFuture<'static, Result<()>> = Box::pin(async move { part.await.map_err(explain) });
        part
    }

    async fn complete(&mut self) -> Result<PutResult> {
        match self.inner.complete().await {
            Err(gone @ Error::NotFound { .. }) => {
                let result = ended(self.store.as_ref(), &self.path, self.bytes, self.began).await;
                result.ok_or_else(|| self.place.explain(self.path.as_ref(), gone))
            }
            result => result.map_err(self.place.at(&self.path)),
        }
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await.map_err(self.place.at(&self.path))
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("place", &self.place).field("path", &self.path).finish_non_exhaustive()
    }
}
