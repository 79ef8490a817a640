//! A listing that goes on where its answer was cut off.
//!
//! `object_store` repeats a request that was not answered. An answer that ends too soon is an error to it, and a listing of a
//! million objects is a thousand answers.

use std::time::Duration;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use object_store::{ObjectMeta, Result, path::Path};

use super::failure::is_cut_off;

/// How often in a row an answer may be cut off.
const ATTEMPTS: u32 = 5;
/// Before it is asked for again, and twice as long each time.
const PAUSE: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 50 });

/// The objects that `open` lists, all of them or those behind a key.
///
/// In a listing that is not `in_order` nothing is behind a key, so that one is begun anew only while it has given nothing.
pub(super) fn with_patience(
    in_order: bool,
    open: impl Fn(Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> + Send + 'static,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let start = Listing { listed: open(None), open, last: None, in_order, failed: 0 };
    stream::unfold(Some(start), |listing| async {
        let mut listing = listing?;
        loop {
            match listing.listed.next().await? {
                Ok(meta) => {
                    listing.last = Some(meta.location.clone());
                    listing.failed = 0;
                    return Some((Ok(meta), Some(listing)));
                }
                Err(error) if listing.may_go_on() && is_cut_off(&error) => {
                    tokio::time::sleep(PAUSE * (1 << listing.failed)).await;
                    listing.failed += 1;
                    listing.listed = (listing.open)(listing.last.as_ref());
                }
                Err(error) => return Some((Err(error), None)),
            }
        }
    })
    .boxed()
}

/// What `ask` answers, asked again where that is cut off.
pub(super) async fn whole<A: Future<Output = Result<T>>, T>(ask: impl Fn() -> A) -> Result<T> {
    let mut failed = 0;
    loop {
        match ask().await {
            Err(error) if failed < ATTEMPTS && is_cut_off(&error) => {
                tokio::time::sleep(PAUSE * (1 << failed)).await;
                failed += 1;
            }
            answer => return answer,
        }
    }
}

struct Listing<O> {
    open: O,
    listed: BoxStream<'static, Result<ObjectMeta>>,
    /// What it gave last.
    last: Option<Path>,
    in_order: bool,
    /// Answers that were cut off since then.
    failed: u32,
}

impl<O> Listing<O> {
    fn may_go_on(&self) -> bool {
        self.failed < ATTEMPTS && (self.in_order || self.last.is_none())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use futures::TryStreamExt;
    use object_store::Error;

    use super::*;

    const OBJECTS: usize = 7;

    fn failure(text: &str) -> Error {
        Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    /// Seven objects, of which each listing gives `each` before it fails with `text`, and how often one was begun.
    async fn listed(in_order: bool, each: usize, text: &'static str) -> (Result<Vec<String>>, usize) {
        let begun = Arc::new(AtomicUsize::new(0));
        let open = {
            let begun = Arc::clone(&begun);
            move |behind: Option<&Path>| {
                begun.fetch_add(1, SeqCst);
                let behind = behind.map(ToString::to_string).unwrap_or_default();
                let rest: Vec<String> = (0..OBJECTS).map(|i| format!("o{i}")).filter(|key| *key > behind).collect();
                let failing = rest.len() > each;
                let metas = rest.into_iter().take(each).map(|key| {
                    let location = Path::from(key);
                    let last_modified = std::time::SystemTime::UNIX_EPOCH.into();
                    Ok(ObjectMeta { location, last_modified, size: 0, e_tag: None, version: None })
                });
                stream::iter(metas.chain(failing.then(|| Err(failure(text)))).collect::<Vec<_>>()).boxed()
            }
        };
        let all = with_patience(in_order, open).map_ok(|meta| meta.location.to_string()).try_collect().await;
        (all, begun.load(SeqCst))
    }

    const CUT: &str = "HTTP error: request or response body error";

    #[tokio::test]
    async fn what_is_cut_off_goes_on_behind_the_last_object() {
        let all: Vec<String> = (0..OBJECTS).map(|i| format!("o{i}")).collect();
        for each in 1..=OBJECTS {
            let (found, begun) = listed(true, each, CUT).await;
            assert_eq!((found.unwrap(), begun), (all.clone(), OBJECTS.div_ceil(each)), "{each} at once");
        }
    }

    #[tokio::test]
    async fn patience_ends_where_nothing_comes_or_nothing_tells_where_to_go_on() {
        assert!(matches!(listed(true, 0, CUT).await, (Err(_), 6)));
        assert!(matches!(listed(false, 3, CUT).await, (Err(_), 1)));
        assert!(matches!(listed(false, OBJECTS, CUT).await, (Ok(_), 1)));
        let asked = AtomicUsize::new(0);
        let cut = whole(|| async { if asked.fetch_add(1, SeqCst) < 2 { Err(failure(CUT)) } else { Ok(()) } }).await;
        assert!(cut.is_ok() && asked.load(SeqCst) == 3);
        // These were repeated already.
        let spent = "Error performing GET http://host/b in 3s, after 10 retries - HTTP error: connection refused";
        assert!(matches!(listed(true, 3, spent).await, (Err(_), 1)));
    }
}
