//! Images that are elsewhere: what gets them, and the stage that waits for them.

mod stage;
mod window;

use std::{fmt, num::NonZeroUsize, time::Duration};

use imbed_core::Result;

pub(crate) use stage::{Fetched, Fetching};
pub(crate) use window::Window;

/// Gets the bytes of images by address.
///
/// The engine speaks no protocol. A front end that was allowed to use the network gives it one of these
/// ([`EngineBuilder::fetch`](crate::EngineBuilder::fetch)); without, every address is a file that does not exist.
pub trait Fetch: fmt::Debug + Send + Sync {
    /// Whether `place`, which stands where the path of a file may, is an address for this.
    fn takes(&self, place: &str) -> bool;

    /// How many are fetched at once. Each waits on a thread of its own.
    fn at_once(&self) -> NonZeroUsize;

    /// The bytes at `place`. The error's message names the address, without what may be a secret in it.
    ///
    /// `watch` is told of what comes, as it comes: it may wait there while memory is short, which is no time of the server's.
    fn fetch(&self, place: &str, terms: &Terms, watch: &mut dyn Watch) -> Result<Vec<u8>>;
}

/// What holds for every fetch of a run.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Bytes of one image, at most.
    pub max_bytes: u64,
    /// Further tries after a temporary failure.
    pub max_retries: u32,
}

/// Who looks at a fetch. Each method gives an error if the run was stopped, which the fetch then ends with.
pub trait Watch {
    /// So many bytes have come.
    fn came(&mut self, bytes: usize) -> Result<()>;

    /// What has come is forgotten, and the same is tried again after this wait, which happens here.
    fn again(&mut self, wait: Duration) -> Result<()>;
}
