//! The listing of a store: page after page, as it is consumed.

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use imbed_core::{Error, ErrorKind};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path};
use tokio::sync::mpsc::Sender;

use super::{
    listing::{Entry, Sieve},
    place::{Meaning, Remote, folder_of},
};
use crate::{
    error::wrap,
    stores::{Service, from_store},
};

/// Lists `place` and sends each group of images that `sieve` lets through, until it wants no more or nobody takes them.
///
/// What is held is a page of the listing, about a thousand objects, and the group that is being filled.
pub(super) async fn list(
    place: &Remote,
    store: Arc<dyn ObjectStore>,
    mut sieve: Sieve,
    groups: &Sender<Result<Vec<Entry>>>,
) -> Result<()> {
    let mut images = images(place, store).await.map_err(wrap)?;
    let mut found = false;
    while sieve.wants() > 0 {
        let ahead = sieve.wants();
        let entries: Vec<Entry> = images.by_ref().take(ahead).try_collect().await.map_err(wrap)?;
        let ended = entries.len() < ahead;
        found |= !entries.is_empty();
        for group in sieve.sift(entries)? {
            if groups.send(Ok(group)).await.is_err() {
                return Ok(());
            }
        }
        if ended {
            break;
        }
    }
    if !found && sieve.wants() > 0 {
        return Err(wrap(place.nothing()));
    }
    if let Some(last) = sieve.rest() {
        // Whoever has gone needs none.
        let _ = groups.send(Ok(last)).await;
    }
    Ok::<_, DataFusionError>(())
}

/// The images that `place` means.
async fn images(place: &Remote, store: Arc<dyn ObjectStore>) -> Result<BoxStream<'_, Result<Entry, Error>>, Error> {
    match &place.meaning {
        Meaning::Folder(prefix) => Ok(below(place, &store, prefix.clone())),
        Meaning::Pattern { literal, .. } => Ok(below(place, &store, literal.clone())),
        Meaning::Object(path) => one(place, &store, path).await,
        Meaning::Either(path) => match store.head(path).await {
            Ok(meta) => Ok(once(entry(place, &meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(below(place, &store, format!("{path}/"))),
            Err(error) => Err(from_store(&place.address(path), &error)),
        },
    }
}

/// The file of a web server. What it says of its files' size and age is often nothing, and asking may be forbidden.
async fn one<'a>(
    place: &Remote,
    store: &Arc<dyn ObjectStore>,
    path: &Path,
) -> Result<BoxStream<'a, Result<Entry, Error>>, Error> {
    match store.head(path).await {
        Ok(meta) => Ok(once(entry(place, &meta))),
        Err(error) => {
            let missing = matches!(error, object_store::Error::NotFound { .. });
            let error = from_store(&place.address(path), &error);
            // `object_store` takes a server that does not know the question for one that does not have the file.
            if (missing && error.kind() != ErrorKind::Unsupported) || error.is_temporary() {
                return Err(error);
            }
            Ok(once(Entry { path: place.address(path), size: None, modified: None }))
        }
    }
}

fn once<'a>(entry: Entry) -> BoxStream<'a, Result<Entry, Error>> {
    stream::iter([Ok(entry)]).boxed()
}

/// The images whose keys begin with `literal`.
fn below<'a>(place: &'a Remote, store: &Arc<dyn ObjectStore>, literal: String) -> BoxStream<'a, Result<Entry, Error>> {
    let folder = folder_of(&literal);
    let prefix = match Path::parse(folder) {
        Ok(prefix) => Some(prefix).filter(|prefix| !prefix.as_ref().is_empty()),
        Err(_) => return stream::empty().boxed(),
    };
    // Stores list whole folders. Within one, a listing in order can begin at the first key that can match, ...
    let start = place.is_sorted().then(|| before(place, &literal, folder)).flatten();
    let listed = match start {
        Some(start) => store.list_with_offset(prefix.as_ref(), &start),
        None => store.list(prefix.as_ref()),
    };
    let sorted = place.is_sorted();
    let end = literal.clone();
    listed
        .map_err(|error| place.cannot_list(from_store(place.text(), &error)))
        // ... and end after the last.
        .try_take_while(move |meta| {
            let key = meta.location.as_ref();
            futures::future::ready(Ok(!sorted || key.starts_with(end.as_str()) || key < end.as_str()))
        })
        .try_filter_map(move |meta| {
            let wanted = place.means(&literal, meta.location.as_ref());
            futures::future::ready(Ok(wanted.then(|| entry(place, &meta))))
        })
        .boxed()
}

/// A key that comes before all that can match and begin with `literal`, if that goes further than its folder.
fn before(place: &Remote, literal: &str, folder: &str) -> Option<Path> {
    let mut start = literal.strip_prefix(folder)?.to_owned();
    // Such as `a` for `a*`: a listing begins behind the key that it is given.
    if place.means(literal, literal) {
        start.pop();
    }
    if start.is_empty() {
        return None;
    }
    Path::parse(format!("{folder}{start}")).ok()
}

fn entry(place: &Remote, meta: &ObjectMeta) -> Entry {
    // Web servers that do not say it give 1970.
    let modified = Some(meta.last_modified.timestamp_micros()).filter(|&t| t != 0 || place.service != Service::Http);
    Entry { path: place.address(&meta.location), size: i64::try_from(meta.size).ok(), modified }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::place::Place;

    #[test]
    fn a_listing_begins_before_the_first_key_that_can_match() {
        let before = |text: &str| {
            let Place::Remote(place) = Place::new(text).unwrap() else { panic!("{text} is not local") };
            let Meaning::Pattern { literal, .. } = &place.meaning else { panic!("{text} is a pattern") };
            super::before(&place, literal, folder_of(literal)).map(|path| path.to_string())
        };
        assert_eq!(before("s3://b/a/2024-*").as_deref(), Some("a/2024-"));
        assert_eq!(before("s3://b/a/x.jpg*").as_deref(), Some("a/x.jp"));
        assert_eq!(before("s3://b/shard-?.jpg").as_deref(), Some("shard-"));
        assert_eq!(before("s3://b/a/*.jpg"), None);
        assert_eq!(before("s3://b/**"), None);
    }
}
