//! A `COPY` to a store, of which nothing is seen before it is whole.
//!
//! DataFusion ends a file as if all were well when the query behind it fails. So what it writes goes up in parts, and the request
//! that makes an object of them is held until the query has succeeded: nothing is moved or copied, and nothing has to be removed.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use datafusion::{common::Result as PlanResult, logical_expr::LogicalPlan, prelude::SessionContext};
use futures::stream::BoxStream;
use imbed_core::{Error, ErrorKind};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart, path::Path,
};
use url::{Position, Url};

use super::{from_store, is_url};
use crate::error::wrap;

/// Uploads that wait for their end.
type Waiting = Arc<Mutex<Vec<(Path, Box<dyn MultipartUpload>)>>>;

/// The objects of one `COPY`, which are there after [`commit`](Self::commit).
///
/// Whoever drops it leaves parts of uploads in the bucket, which its rules may remove: [`abort`](Self::abort) does.
#[must_use = "nothing is written before it is committed"]
pub struct HeldCopy {
    waiting: Waiting,
    context: SessionContext,
    /// The address under which the plan writes.
    held: Url,
    root: String,
}

/// Lets a plan that copies to a store write in a way that can be taken back. `None` for other plans.
pub fn hold_copy(context: &SessionContext, plan: &mut LogicalPlan) -> PlanResult<Option<HeldCopy>> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let LogicalPlan::Copy(copy) = plan else { return Ok(None) };
    if !is_url(&copy.output_url) {
        return Ok(None);
    }
    let bad = |why: String| wrap(Error::new(ErrorKind::BadInput, format!("{}: {why}", copy.output_url)));
    let url = Url::parse(&copy.output_url).map_err(|e| bad(format!("this is not an address: {e}")))?;
    let store = context.runtime_env().object_store_registry.get_store(&url)?;
    // A scheme of its own, as DataFusion finds stores by that and the bucket.
    let scheme = format!("held-{}-{}", NEXT.fetch_add(1, Relaxed), url.scheme());
    let renamed = format!("{scheme}{}", &url[Position::AfterScheme..]);
    let held = Url::parse(&renamed).map_err(|e| bad(format!("this is not an address: {e}")))?;
    let waiting = Waiting::default();
    let holding = Holding { inner: store, waiting: Arc::clone(&waiting) };
    context.register_object_store(&held, Arc::new(holding));
    copy.output_url = renamed;
    let root = url[..Position::BeforePath].to_owned();
    Ok(Some(HeldCopy { waiting, context: context.clone(), held, root }))
}

impl HeldCopy {
    /// Makes objects of what was written.
    pub async fn commit(self) -> imbed_core::Result<()> {
        for (path, mut upload) in take(&self.waiting) {
            upload.complete().await.map_err(|e| from_store(&format!("{}/{path}", self.root), &e))?;
        }
        Ok(())
    }

    /// Removes what was written. A store that cannot be reached any more keeps it.
    pub async fn abort(self) {
        for (path, mut upload) in take(&self.waiting) {
            if let Err(error) = upload.abort().await {
                tracing::debug!("{}/{path}: parts of an upload were left: {error}", self.root);
            }
        }
    }
}

impl Drop for HeldCopy {
    fn drop(&mut self) {
        // It is there: nobody else knows its scheme.
        let _ = self.context.runtime_env().deregister_object_store(&self.held);
    }
}

impl fmt::Debug for HeldCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldCopy").field("root", &self.root).finish_non_exhaustive()
    }
}

fn take(waiting: &Waiting) -> Vec<(Path, Box<dyn MultipartUpload>)> {
    std::mem::take(&mut *waiting.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A store whose uploads wait for their end.
struct Holding {
    inner: Arc<dyn ObjectStore>,
    waiting: Waiting,
}

fn later() -> PutResult {
    PutResult { e_tag: None, version: None }
}

#[async_trait]
impl ObjectStore for Holding {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let options =
            PutMultipartOptions { tags: options.tags, attributes: options.attributes, extensions: options.extensions };
        let mut upload = self.inner.put_multipart_opts(location, options).await?;
        upload.put_part(payload).await?;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((location.clone(), upload));
        Ok(later())
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(Upload { inner: Some(upload), path: location.clone(), waiting: Arc::clone(&self.waiting) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl fmt::Debug for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holding").field("inner", &self.inner).finish_non_exhaustive()
    }
}

struct Upload {
    /// Given away at its end.
    inner: Option<Box<dyn MultipartUpload>>,
    path: Path,
    waiting: Waiting,
}

impl Upload {
    fn ended(&self) -> object_store::Error {
        object_store::Error::Generic { store: "held", source: format!("the upload of {} has ended", self.path).into() }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match &mut self.inner {
            Some(upload) => upload.put_part(data),
            None => Box::pin(futures::future::ready(Err(self.ended()))),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let upload = self.inner.take().ok_or_else(|| self.ended())?;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push((self.path.clone(), upload));
        Ok(later())
    }

    async fn abort(&mut self) -> Result<()> {
        match &mut self.inner {
            Some(upload) => upload.abort().await,
            None => Err(self.ended()),
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("path", &self.path).finish_non_exhaustive()
    }
}
