//! Asking one service for vectors: how many at once, how often again, and which image is at fault.
//!
//! All of it is here and nothing is left to the engine. What is retried, and when, hangs on HTTP, and whoever sits above would
//! only multiply it: an error of a whole call is for good, and what may pass is the error of the rows that it befell.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use imbed_core::{EncodedImage, Error, ErrorKind, Result, Usage};
use tokio::time::{Instant, sleep};

use crate::{
    backoff::delay,
    bucket::Bucket,
    client::Client,
    dialect::{Dialect, Values},
    failure::Failure,
    flow::Flow,
    reply::{Reply, Unreadable},
};

/// A service, as it is asked for one model's vectors.
pub(crate) struct Service {
    pub(crate) client: Client,
    pub(crate) dialect: &'static Dialect,
    pub(crate) model: String,
    /// Numbers per vector that come back; `None` while that is being found out.
    pub(crate) width: Option<usize>,
    /// Numbers per vector that the service is asked to cut to.
    pub(crate) dimensions: Option<usize>,
    pub(crate) input_type: Option<String>,
    pub(crate) base64: bool,
    pub(crate) max_retries: u32,
    pub(crate) flow: Arc<Flow>,
    pub(crate) requests: Option<Bucket>,
    pub(crate) tokens: Option<Bucket>,
    pub(crate) counters: Counters,
}

/// What was asked so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
    images: AtomicU64,
    tokens: AtomicU64,
}

impl Service {
    /// One vector per image, or why there is none. `Err` for what every other request would meet too.
    ///
    /// A request that the service, though it is there, does not answer in all tries costs its images: their error is temporary.
    /// A request that is refused for its content is halved until the images at fault are alone. One permit covers all of
    /// that and all tries: a service in trouble is never asked for more than before.
    pub(crate) async fn embed(&self, images: &[EncodedImage]) -> Result<Vec<Result<Vec<f32>>>> {
        let _permit = self.flow.permit().await;
        let mut vectors = Vec::with_capacity(images.len());
        // What is still to be asked for, the next part last.
        let mut parts = vec![images];
        while let Some(part) = parts.pop() {
            match self.ask(part).await {
                Ok(reply) => vectors.extend(reply.vectors),
                Err(Failure::Refused(_)) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(Failure::Refused(error)) => vectors.push(Err(error)),
                Err(Failure::Temporary { error, .. }) => {
                    let error = error.temporary(true);
                    vectors.extend(part.iter().map(|_| Err(error.clone())));
                }
                Err(Failure::Final(error)) => return Err(error),
            }
        }
        Ok(vectors)
    }

    /// What was asked so far.
    pub(crate) fn usage(&self) -> Usage {
        let counters = &self.counters;
        let mut usage = Usage::default();
        usage.requests = counters.requests.load(Relaxed);
        usage.retries = counters.retries.load(Relaxed);
        usage.tokens = counters.tokens.load(Relaxed);
        usage.bytes_sent = counters.bytes.load(Relaxed);
        usage
    }

    /// One request, tried again while it fails temporarily.
    async fn ask(&self, images: &[EncodedImage]) -> Result<Reply, Failure> {
        let values = Values {
            model: &self.model,
            dimensions: self.dimensions,
            input_type: self.input_type.as_deref(),
            base64: self.base64,
            images,
        };
        let body = self.dialect.body.fill(&values).map_err(|e| {
            Failure::Final(Error::new(ErrorKind::Internal, format!("a request cannot be written: {e}")).source(e))
        })?;
        let body = Bytes::from(body);
        let mut failures = 0;
        loop {
            let estimate = self.counters.tokens_per_image() * images.len() as f64;
            self.wait_for_turn(estimate).await;
            let started = Instant::now();
            self.counters.sent(body.len(), failures > 0);
            let failure = match self.once(body.clone(), images.len(), estimate).await {
                Ok(reply) => {
                    self.flow.succeeded();
                    return Ok(reply);
                }
                Err(failure) => failure,
            };
            let (error, wait, overloaded, reached) = match failure {
                Failure::Temporary { error, wait, overloaded, reached } => (error, wait, overloaded, reached),
                other => return Err(other),
            };
            if overloaded {
                self.flow.overloaded(started);
            }
            failures += 1;
            if failures > self.max_retries {
                let error = tried(error, failures);
                return Err(if reached {
                    Failure::Temporary { error, wait, overloaded, reached }
                } else {
                    Failure::Final(error)
                });
            }
            let delay = delay(failures, wait);
            if let Some(wait) = wait {
                // What the service asks of one request holds for all that have not started.
                self.flow.pause(Instant::now() + wait.min(delay));
            }
            tracing::debug!(%error, ?delay, "a request failed temporarily and is repeated");
            sleep(delay).await;
        }
    }

    async fn wait_for_turn(&self, tokens: f64) {
        if let Some(bucket) = &self.requests {
            bucket.take(1.0).await;
        }
        if let Some(bucket) = &self.tokens {
            bucket.take(tokens).await;
        }
        self.flow.pause_over().await;
    }

    async fn once(&self, body: Bytes, images: usize, estimate: f64) -> Result<Reply, Failure> {
        // A number takes at most 32 bytes as text. Where the width is not known, no vector is longer than this.
        let most = (1 << 20) + images * self.width.unwrap_or(1 << 16) * 32;
        let body = self.client.post(body, most).await?;
        let reply = self.dialect.reply.read(&body, images, self.width).map_err(|unreadable| match unreadable {
            Unreadable::PerhapsOneImage(error) => Failure::Refused(error),
            Unreadable::Whole(error) => Failure::Final(error),
        })?;
        if let (Some(bucket), Some(tokens)) = (&self.tokens, reply.tokens) {
            bucket.settle(tokens as f64 - estimate);
        }
        self.counters.answered(images, reply.tokens.unwrap_or(0));
        Ok(reply)
    }
}

impl Counters {
    fn sent(&self, bytes: usize, again: bool) {
        self.requests.fetch_add(1, Relaxed);
        self.retries.fetch_add(u64::from(again), Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    fn answered(&self, images: usize, tokens: u64) {
        self.images.fetch_add(images as u64, Relaxed);
        self.tokens.fetch_add(tokens, Relaxed);
    }

    fn tokens_per_image(&self) -> f64 {
        match self.images.load(Relaxed) {
            0 => 0.0,
            images => self.tokens.load(Relaxed) as f64 / images as f64,
        }
    }
}

/// The error after the last try.
fn tried(error: Error, tries: u32) -> Error {
    if tries == 1 { error } else { error.context(format_args!("after {tries} tries")) }
}
