//! One try: a request, the redirects that follow, and the body, within the limits.

use std::{
    io::Read,
    time::{Duration, Instant},
};

use imbed_core::image;
use imbed_engine::Watch;
use ureq::{
    Agent, Body,
    http::{Response, StatusCode, Uri},
};

use crate::{
    Limits, address,
    failure::{Failure, of_body, of_status, of_transport, refused, too_slow},
    limits::REDIRECTS,
};

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// Room for a body that says how long it is, before it has come: what is said may not be true.
const TRUSTED: u64 = 1 << 20;

/// The time of one image, in which waits of our own do not count.
#[derive(Debug)]
pub(crate) struct Clock {
    ends: Instant,
}

impl Clock {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { ends: Instant::now() + limit }
    }

    pub(crate) fn left(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }

    fn without<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = wait();
        self.ends += start.elapsed();
        result
    }
}

/// What a try is made with.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) agent: &'a Agent,
    pub(crate) limits: &'a Limits,
    pub(crate) max_bytes: u64,
}

impl Request<'_> {
    pub(crate) fn send(&self, url: &Uri, clock: &mut Clock, watch: &mut dyn Watch) -> Result<Vec<u8>, Failure> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            let response = self.ask(&url, clock)?;
            if !is_redirect(response.status()) {
                return self.body(response, clock, watch);
            }
            let location = response.headers().get("location").and_then(|l| l.to_str().ok()).unwrap_or_default();
            let next = address::resolve(&url, location).map_err(|why| refused(format!("a redirect: {why}")))?;
            if url.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(refused("a redirect leads from https to an address without it").into());
            }
            url = next;
        }
        Err(refused(format!("more than {REDIRECTS} redirects")).into())
    }

    fn ask(&self, url: &Uri, clock: &Clock) -> Result<Response<Body>, Failure> {
        let left = clock.left();
        if left.is_zero() {
            return Err(too_slow(self.limits.time).into());
        }
        let within = |limit: Duration| Some(limit.min(left));
        let request = self.agent.get(url).header("Accept-Encoding", "identity").config();
        let request = request
            .timeout_resolve(within(self.limits.connect))
            .timeout_connect(within(self.limits.connect))
            .timeout_send_request(within(self.limits.silence))
            .timeout_recv_response(within(self.limits.silence))
            .timeout_per_read(within(self.limits.silence))
            .build();
        let response = request.call().map_err(|error| Failure::from(of_transport(&error)))?;
        tracing::trace!("http.response.status_code" = response.status().as_u16(), "answered");
        Ok(response)
    }

    fn body(&self, response: Response<Body>, clock: &mut Clock, watch: &mut dyn Watch) -> Result<Vec<u8>, Failure> {
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        if response.status() != StatusCode::OK {
            return Err(of_status(response.status(), response.headers()));
        }
        if let Some(encoding) = header("content-encoding").filter(|e| !e.eq_ignore_ascii_case("identity")) {
            return Err(refused(format!("the server sends the image compressed ({encoding}) unasked")).into());
        }
        let limits = image::Limits { max_bytes: self.max_bytes, ..image::Limits::NONE };
        let length: Option<u64> = header("content-length").and_then(|length| length.parse().ok());
        limits.check_encoded(length.unwrap_or(0))?;
        let mut bytes = Vec::with_capacity(length.unwrap_or(0).min(TRUSTED) as usize);
        let mut reader = response.into_body().into_reader();
        let mut piece = vec![0; PIECE];
        loop {
            let read = reader.read(&mut piece).map_err(of_body)?;
            if read == 0 {
                return Ok(bytes);
            }
            bytes.extend_from_slice(&piece[..read]);
            limits.check_encoded(bytes.len() as u64)?;
            clock.without(|| watch.came(read))?;
            if clock.left().is_zero() {
                return Err(too_slow(self.limits.time).into());
            }
        }
    }
}

/// Whether the answer says where to ask instead.
fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}
