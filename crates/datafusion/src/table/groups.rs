//! The listing of a place as a stream of groups of files, made ahead of whoever reads them.

use std::{future::Future, sync::Arc};

use datafusion::{
    common::{exec_datafusion_err, runtime::SpawnedTask},
    error::Result,
    execution::runtime_env::RuntimeEnv,
};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::{
    sync::mpsc,
    task::{JoinError, spawn_blocking},
};

use super::{
    listing::{Entry, Sieve, list},
    place::Place,
    reader::READERS,
    remote,
};

/// The groups of files at `place` that `sieve` lets through.
pub(super) fn listed(
    place: &Place,
    sieve: Sieve,
    runtime: &RuntimeEnv,
) -> Result<BoxStream<'static, Result<Vec<Entry>>>> {
    let (send, receive) = mpsc::channel(READERS);
    match place {
        Place::Local(place) => {
            let place = place.clone();
            let listing = spawn_blocking(move || {
                if let Err(error) = list(&place, sieve, |group| send.blocking_send(Ok(group)).is_ok()) {
                    // Nobody is there to be told only if nobody asks for more.
                    let _ = send.blocking_send(Err(error));
                }
            });
            Ok(received(receive, listing))
        }
        Place::Remote(place) => {
            let store = runtime.object_store(&place.store)?;
            let place = Arc::clone(place);
            // It ends with the stream.
            let listing = SpawnedTask::spawn(async move {
                if let Err(error) = remote::list(&place, store, sieve, &send).await {
                    let _ = send.send(Err(error)).await;
                }
            });
            Ok(received(receive, listing))
        }
    }
}

/// What is received, and an error if `listing` panics.
fn received(
    receive: mpsc::Receiver<Result<Vec<Entry>>>,
    listing: impl Future<Output = Result<(), JoinError>> + Send + Unpin + 'static,
) -> BoxStream<'static, Result<Vec<Entry>>> {
    stream::unfold((receive, Some(listing)), |(mut receive, listing)| async move {
        match receive.recv().await {
            Some(group) => Some((group, (receive, listing))),
            None => match listing?.await {
                Ok(()) => None,
                Err(e) => Some((Err(exec_datafusion_err!("the listing ended early: {e}")), (receive, None))),
            },
        }
    })
    .boxed()
}
