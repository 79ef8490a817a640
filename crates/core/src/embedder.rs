//! The loaded model: a batch in, vectors out.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Device, PixelBatch, Result, options::Dtype};

/// One image as an encoded file, for models that want it so (most remote services do).
#[derive(Debug, Clone)]
pub struct EncodedImage {
    /// The file's bytes.
    pub bytes: Arc<[u8]>,
    /// The media type found in the bytes, such as `image/jpeg`.
    pub media_type: &'static str,
}

/// What an embedder is given: the kind that its descriptor's [`InputSpec`](crate::InputSpec) asked for.
#[derive(Debug, Clone, Copy)]
pub enum ImageBatch<'a> {
    /// Preprocessed pixels of one size.
    Pixels(&'a PixelBatch),
    /// Encoded files.
    Encoded(&'a [EncodedImage]),
}

impl ImageBatch<'_> {
    /// Number of images.
    pub fn len(&self) -> usize {
        match self {
            Self::Pixels(pixels) => pixels.len(),
            Self::Encoded(images) => images.len(),
        }
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A model that computes on the calling thread. Shared between threads, so it locks what it must.
pub trait BlockingImageEmbedder: Send + Sync {
    /// Numbers per vector as the model gives them, before any cut by the option `dimensions`.
    fn width(&self) -> usize;

    /// The device that the weights are on.
    fn device(&self) -> Device;

    /// The number type that it computes in, where it knows: of interest where the choice was its own.
    fn dtype(&self) -> Option<Dtype> {
        None
    }

    /// Writes one vector per image into `out`, `[batch.len(), width()]`, row-major.
    ///
    /// A whole batch fails or succeeds: images that cannot be read never come this far. An error of kind
    /// [`OutOfMemory`](crate::ErrorKind::OutOfMemory) makes the engine try smaller batches.
    fn embed(&self, batch: ImageBatch<'_>, out: &mut [f32]) -> Result<()>;
}

/// What a service was asked for, for summaries and bills.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Requests that were sent, repetitions among them.
    pub requests: u64,
    /// Requests that were repeated after a temporary failure.
    pub retries: u64,
    /// What the service says that it counted, in its own tokens.
    pub tokens: u64,
    /// Bytes of all requests.
    pub bytes_sent: u64,
}

/// A model behind a request: many calls are in flight at once.
#[async_trait]
pub trait AsyncImageEmbedder: Send + Sync {
    /// Numbers per vector, before any cut by the option `dimensions`.
    fn width(&self) -> usize;

    /// What was asked of the service since the embedder was made; nothing, for those that do not count.
    fn usage(&self) -> Usage {
        Usage::default()
    }

    /// One vector per image, or the error of that image alone; `Err` where the whole request failed.
    ///
    /// The embedder finds the image at fault by itself: the engine splits a batch whose error has the kind
    /// [`Request`](crate::ErrorKind::Request) no further, and repeats a call only if its error
    /// [is temporary](crate::Error::is_temporary). One that retries by itself, in the way of its protocol, gives the rows of a
    /// request that it gives up such an error each, and `Err` only for what every other request would meet too: the engine
    /// repeats no row, and where [`OnError`](crate::options::OnError) allows it, the run goes on.
    async fn embed(&self, images: Vec<EncodedImage>) -> Result<Vec<Result<Vec<f32>>>>;
}

/// A loaded model of either sort.
#[derive(Clone)]
pub enum Embedder {
    /// Computes on the calling thread.
    Blocking(Arc<dyn BlockingImageEmbedder>),
    /// Waits for somebody else's computation.
    Async(Arc<dyn AsyncImageEmbedder>),
}

impl Embedder {
    /// Numbers per vector, before any cut by the option `dimensions`.
    pub fn width(&self) -> usize {
        match self {
            Self::Blocking(embedder) => embedder.width(),
            Self::Async(embedder) => embedder.width(),
        }
    }

    /// The number type that it computes in, where it knows.
    pub fn dtype(&self) -> Option<Dtype> {
        match self {
            Self::Blocking(embedder) => embedder.dtype(),
            Self::Async(_) => None,
        }
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blocking(embedder) => write!(f, "Blocking({} on {})", embedder.width(), embedder.device()),
            Self::Async(embedder) => write!(f, "Async({})", embedder.width()),
        }
    }
}
