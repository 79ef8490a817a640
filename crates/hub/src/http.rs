//! Requests to the hub: redirects, tries, and a token that only the hub itself is shown.

use std::{thread, time::Duration};

use imbed_core::{Error, ErrorKind, FetchProgress, Result};
use ureq::{
    Agent, Body,
    config::RedirectAuthHeaders,
    http::{HeaderMap, Response, StatusCode, Uri},
    tls::{RootCerts, TlsConfig},
};

use crate::settings::{Settings, Token};

/// A busy server is waited for this long at a time, at most.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Silence of this length is a failure.
const SILENCE: Duration = Duration::from_mins(1);
const REDIRECTS: usize = 10;
/// Tries to reach a server that does not answer at all.
const TRIES_TO_CONNECT: u32 = 3;

/// A client of one hub.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<Token>,
    tries: u32,
    wait: Duration,
}

/// Which request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// The headers alone.
    Head,
    /// The content from this byte on.
    Get(u64),
}

/// An answer, and what the answers that led to it said in passing.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    /// Headers of the hub's own answers: it sends elsewhere for large files, and says only here which file it is.
    pub(crate) hub_headers: HeaderMap,
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// A header by its lower-case name. What the hub says about the file is in `x-…` headers of whichever of its answers
    /// had them; anything else belongs to the last answer.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let said = if name.starts_with("x-") { self.hub_headers.get(name) } else { None };
        said.or_else(|| self.response.headers().get(name)).and_then(|value| value.to_str().ok())
    }
}

impl Client {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let endpoint: Uri = settings.endpoint.parse().map_err(|_| bad_endpoint(&settings.endpoint))?;
        let host = endpoint.host().ok_or_else(|| bad_endpoint(&settings.endpoint))?;
        if !matches!(endpoint.scheme_str(), Some("http" | "https")) {
            return Err(bad_endpoint(&settings.endpoint));
        }
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // Redirects are followed below, where the token can be held back.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::Never)
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .user_agent(concat!("imbed/", env!("CARGO_PKG_VERSION")));
        // This machine needs no proxy to reach itself.
        let config = if is_loopback(host) { config.proxy(None) } else { config };
        Ok(Self {
            agent: config.build().into(),
            endpoint: settings.endpoint.clone(),
            token: settings.token.clone(),
            tries: settings.tries.max(1),
            wait: settings.wait,
        })
    }

    /// The hub's address with `path`, which begins with `/`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint)
    }

    /// The hub's host, for messages.
    pub(crate) fn host(&self) -> &str {
        self.endpoint.split_once("://").map_or(self.endpoint.as_str(), |(_, host)| host)
    }

    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// Waits as long as after `failed` tries in a row, or as long as the server asked for.
    pub(crate) fn pause(&self, failed: u32, asked: Option<Duration>) {
        let doubled = self.wait.saturating_mul(1 << failed.saturating_sub(1).min(10));
        thread::sleep(asked.unwrap_or(doubled).min(LONGEST_WAIT));
    }

    /// Asks for `url`, again while the server is busy or does not answer. Any other status is the caller's to judge.
    pub(crate) fn ask(&self, method: Method, url: &str, progress: &mut dyn FetchProgress) -> Result<Answer> {
        let mut failed = 0;
        loop {
            let answer = self.follow(method, url);
            failed += 1;
            let (asked, tries, error) = match answer {
                Ok(answer) if !is_temporary(answer.status()) => return Ok(answer),
                Ok(answer) => (retry_after(&answer), self.tries, busy(self.host(), answer.status())),
                // Without a network nobody wants to wait long for the message.
                Err(error) if error.is_temporary() => (None, self.tries.min(TRIES_TO_CONNECT), error),
                Err(error) => return Err(error),
            };
            if failed >= tries {
                return Err(error);
            }
            progress.waiting(error.message());
            self.pause(failed, asked);
        }
    }

    fn follow(&self, method: Method, url: &str) -> Result<Answer> {
        let mut url: Uri = url.parse().map_err(|e| request(self.host(), format!("'{url}' is no address: {e}")))?;
        let home: Uri = self.endpoint.parse().map_err(|_| bad_endpoint(&self.endpoint))?;
        let mut hub_headers = HeaderMap::new();
        for _ in 0..=REDIRECTS {
            let is_hub = origin(&url) == origin(&home);
            let response = self.send(method, &url, is_hub)?;
            if is_hub {
                for (name, value) in response.headers() {
                    hub_headers.entry(name).or_insert_with(|| value.clone());
                }
            }
            // What lies elsewhere is known by its name already, and a signed address is for its content alone.
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok(Answer { response, hub_headers });
            }
            let location = response.headers().get("location").and_then(|l| l.to_str().ok()).unwrap_or_default();
            let next = resolve(&url, location)
                .ok_or_else(|| request(self.host(), format!("a redirect leads nowhere: '{location}'")))?;
            if url.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(request(self.host(), "a redirect leads from https to an address without it"));
            }
            if method == Method::Head && origin(&next) != origin(&home) {
                return Ok(Answer { response, hub_headers });
            }
            url = next;
        }
        Err(request(self.host(), format!("more than {REDIRECTS} redirects")))
    }

    fn send(&self, method: Method, url: &Uri, is_hub: bool) -> Result<Response<Body>> {
        let mut send = match method {
            Method::Head => self.agent.head(url),
            Method::Get(_) => self.agent.get(url),
        };
        // What is hashed and resumed must be the content itself.
        send = send.header("Accept-Encoding", "identity");
        if let Method::Get(from @ 1..) = method {
            send = send.header("Range", format!("bytes={from}-"));
        }
        if let (true, Some(token)) = (is_hub, &self.token) {
            send = send.header("Authorization", token.header());
        }
        send.call().map_err(|error| unreachable(url.authority().map_or("", |a| a.as_str()), &error))
    }
}

/// Scheme, host and port: who it is that answers.
fn origin(url: &Uri) -> (Option<String>, Option<String>, Option<u16>) {
    let scheme = url.scheme_str().map(str::to_ascii_lowercase);
    let usual = if scheme.as_deref() == Some("https") { 443 } else { 80 };
    (scheme, url.host().map(str::to_ascii_lowercase), Some(url.port_u16().unwrap_or(usual)))
}

/// Where `location`, found at `base`, leads.
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let absolute = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.is_empty() {
        return None;
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    absolute.parse().ok()
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether asking again may help.
fn is_temporary(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502..=504)
}

/// How long the server asks to be left alone: seconds, as the hub writes them.
fn retry_after(answer: &Answer) -> Option<Duration> {
    answer.header("retry-after")?.trim().parse().ok().map(Duration::from_secs)
}

fn busy(host: &str, status: StatusCode) -> Error {
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Error::new(ErrorKind::RateLimited, format!("{host} asks for fewer requests (429)"))
            .hint("wait a few minutes; with a token (HF_TOKEN) more requests are allowed");
    }
    Error::new(ErrorKind::Request, format!("{host} cannot answer now ({})", status.as_u16()))
        .temporary(true)
        .hint("try again later; what was downloaded so far is kept")
}

fn unreachable(host: &str, error: &ureq::Error) -> Error {
    let untrusted = match error {
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => true,
        // A handshake that fails while bytes are read.
        ureq::Error::Io(e) => e.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>),
        _ => false,
    };
    let temporary = matches!(
        error,
        ureq::Error::Io(_)
            | ureq::Error::Timeout(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::HostNotFound
            | ureq::Error::Protocol(_)
    );
    let hint = if untrusted {
        "no secure connection: is the package ca-certificates installed, is the clock right, or does a proxy need its own \
         certificate in SSL_CERT_FILE?"
    } else {
        "is the network up, and HTTPS_PROXY or HF_ENDPOINT right? A model that is downloaded already, or in a folder, \
         needs no network"
    };
    Error::new(ErrorKind::Request, format!("{host} cannot be reached: {error}"))
        .temporary(temporary && !untrusted)
        .hint(hint)
}

/// A request that failed for good.
pub(crate) fn request(host: &str, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Request, format!("{host}: {why}"))
}

fn bad_endpoint(endpoint: &str) -> Error {
    Error::new(ErrorKind::Config, format!("HF_ENDPOINT is '{endpoint}', which is no address of a hub"))
        .hint("it begins with https:// or http://; leave it away for https://huggingface.co")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_location_may_be_absolute_or_relative() {
        let base: Uri = "https://hub.example/a/b?x=1".parse().unwrap();
        for (location, end) in [
            ("https://cdn.example/c?s=2", "https://cdn.example/c?s=2"),
            ("//cdn.example/c", "https://cdn.example/c"),
            ("/c/d", "https://hub.example/c/d"),
            ("c", "https://hub.example/a/c"),
        ] {
            assert_eq!(resolve(&base, location).unwrap(), end, "{location}");
        }
        assert!(resolve(&base, "").is_none());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = |a: &str, b: &str| origin(&a.parse().unwrap()) == origin(&b.parse().unwrap());
        assert!(same("https://hub.example/a", "https://HUB.example:443/b"));
        assert!(!same("https://hub.example", "http://hub.example"));
        assert!(!same("https://hub.example", "https://hub.example.evil.example"));
        assert!(!same("http://127.0.0.1:1000", "http://127.0.0.1:1001"));
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_said_at_once_and_silence_is_worth_another_try() {
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let error = unreachable("hub", &ureq::Error::Io(io::Error::new(io::ErrorKind::InvalidData, untrusted)));
        assert!(!error.is_temporary());
        assert!(error.hint_text().unwrap().contains("SSL_CERT_FILE"), "{error}");
        let error = unreachable("hub", &ureq::Error::Io(io::ErrorKind::ConnectionReset.into()));
        assert!(error.is_temporary());
        assert!(error.hint_text().unwrap().contains("HTTPS_PROXY"), "{error}");
    }

    #[test]
    fn this_machine_is_known() {
        assert!(["localhost", "127.0.0.1", "[::1]"].into_iter().all(is_loopback));
        assert!(!is_loopback("huggingface.co"));
    }
}
