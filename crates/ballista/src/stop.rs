//! How a process of a cluster is told to stop.

use std::future::Future;

use imbed_core::{Error, Result};
use tokio::signal;

/// Listens from now on, and waits for Ctrl-C or, where there is such a thing, SIGTERM.
pub fn told_to_stop() -> Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let (mut interrupt, mut terminate) = {
        use signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|e| Error::io("signals", e));
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?)
    };
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = signal::ctrl_c().await;
    })
}
