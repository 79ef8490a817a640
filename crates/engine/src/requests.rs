//! The runtime on which asynchronous models are waited for.

use std::sync::Arc;

use imbed_core::{Error, Execution, Result};
use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of the engine's own, which may be dropped anywhere.
#[derive(Debug)]
pub(crate) struct Requests {
    handle: Handle,
    /// There until the drop.
    runtime: Option<Runtime>,
}

impl Requests {
    /// Starts the runtime; `None` for models that block and need none.
    pub(crate) fn start(execution: Execution) -> Result<Option<Arc<Self>>> {
        if execution == Execution::Blocking {
            return Ok(None);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("imbed-requests")
            .enable_all()
            .build()
            .map_err(|e| Error::io("cannot start the runtime for requests", e))?;
        Ok(Some(Arc::new(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })))
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        // A runtime that is dropped waits for its threads, and panics where that is not allowed: inside another runtime,
        // where an asynchronous program drops its engine. No request is in flight any more, so there is nothing to wait for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
