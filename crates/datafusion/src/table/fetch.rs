//! A group of objects becomes a batch: only what is asked for is fetched, a bounded number of requests at once.

use std::{future::Future, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use datafusion::error::Result as PlanResult;
use futures::{StreamExt, TryStreamExt, stream};
use imbed_core::{
    Error, Result,
    image::{Format, Limits, sniff},
};
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, path::Path};

use super::{
    Column,
    listing::Entry,
    place::Remote,
    read::{HEAD, Reading, assemble},
};
use crate::{
    error::wrap,
    stores::{Service, from_store},
};

/// Requests of one group that are under way at once.
const REQUESTS: usize = 16;

/// Fetches what `wanted` asks of `entries`, as a batch with `schema`.
pub(super) async fn batch(
    entries: Vec<Entry>,
    wanted: Arc<[Column]>,
    schema: SchemaRef,
    place: Arc<Remote>,
    store: Arc<dyn ObjectStore>,
    reading: Reading,
) -> PlanResult<RecordBatch> {
    let mut images: Option<Vec<Option<Bytes>>> = None;
    let mut formats = Vec::new();
    if wanted.contains(&Column::Image) {
        let requests = entries.iter().map(|entry| image(&place, &store, entry, &reading)).collect();
        let fetched = all(requests).await.map_err(wrap)?;
        formats = fetched.iter().map(|image| image.as_deref().and_then(sniff)).collect();
        images = Some(fetched);
    } else if wanted.contains(&Column::Format) {
        formats = all(entries.iter().map(|entry| format(&place, &store, entry)).collect()).await.map_err(wrap)?;
    }
    assemble(&entries, &wanted, schema, images.as_deref(), &formats)
}

/// What all `requests` give, in their order. They do nothing until their turn comes.
async fn all<T>(requests: Vec<impl Future<Output = Result<T>>>) -> Result<Vec<T>> {
    stream::iter(requests).buffered(REQUESTS).try_collect().await
}

/// The whole object; null, by `on_error`, if it cannot be had. A store that fails says nothing about its images: a query that took
/// its silence for broken images would end well with most of them lost.
async fn image(
    place: &Remote,
    store: &Arc<dyn ObjectStore>,
    entry: &Entry,
    reading: &Reading,
) -> Result<Option<Bytes>> {
    match whole(place, store, entry).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_temporary() => Err(error),
        Err(error) => reading.take(error),
    }
}

/// The whole object, if it is not too large.
async fn whole(place: &Remote, store: &Arc<dyn ObjectStore>, entry: &Entry) -> Result<Bytes> {
    let (limits, at) = (Limits::default(), |e: Error| e.context(&entry.path));
    if let Some(size) = entry.size {
        limits.check_encoded(size as u64).map_err(at)?;
    }
    let failed = |e: object_store::Error| from_store(&entry.path, &e);
    let object = store.get(&place.path(&entry.path)?).await.map_err(failed)?;
    limits.check_encoded(object.meta.size).map_err(at)?;
    object.bytes().await.map_err(failed)
}

/// What the first bytes say.
async fn format(place: &Remote, store: &Arc<dyn ObjectStore>, entry: &Entry) -> Result<Option<Format>> {
    if entry.size == Some(0) {
        return Ok(None);
    }
    let path = place.path(&entry.path)?;
    match head(place, store, &path).await {
        Ok(bytes) => Ok(sniff(&bytes)),
        // As with local files: what cannot be read has no format.
        Err(object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. }) => Ok(None),
        Err(error) => Err(from_store(&entry.path, &error)),
    }
}

async fn head(place: &Remote, store: &Arc<dyn ObjectStore>, path: &Path) -> object_store::Result<Bytes> {
    let range = GetRange::Bounded(0..HEAD);
    let part = store.get_opts(path, GetOptions { range: Some(range), ..GetOptions::default() }).await;
    match part {
        Ok(part) => part.bytes().await,
        // A web server may not know ranges. Then the connection is closed when enough has come.
        Err(object_store::Error::Generic { .. } | object_store::Error::NotSupported { .. })
            if place.service == Service::Http =>
        {
            let mut bytes = Vec::new();
            let mut stream = store.get(path).await?.into_stream();
            while let Some(more) = stream.try_next().await? {
                bytes.extend_from_slice(&more);
                if bytes.len() as u64 >= HEAD {
                    break;
                }
            }
            Ok(bytes.into())
        }
        Err(error) => Err(error),
    }
}
