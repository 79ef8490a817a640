//! One request over HTTP, once: a body goes out, the reply's bytes or a [`Failure`] come back.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use imbed_core::{Error, ErrorKind, Result};
use reqwest::{
    Response, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
    redirect,
};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::{
    dialect::Dialect,
    failure::{Asked, Failure},
    key::Key,
    settings::Settings,
};

/// Time to connect: a service that is there answers much sooner.
const CONNECT: Duration = Duration::from_secs(10);
/// Bytes of an error's body that are read.
const ERROR_BODY: usize = 1 << 20;

/// One service, one model.
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
    /// `url` as text, for messages.
    shown: String,
    model: String,
    dialect: &'static Dialect,
    key: Key,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

impl Client {
    pub(crate) fn new(settings: &Settings, dialect: &'static Dialect, model: &str, key: Key) -> Result<Self> {
        let failed = |what: String| Error::new(ErrorKind::Config, what);
        let shown = settings.url(dialect);
        let url = Url::parse(&shown).map_err(|e| failed(format!("{shown} is not a URL: {e}")))?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("imbed/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            // A redirect would send images and key to another place than the one that the user named.
            .redirect(redirect::Policy::none())
            .tls_backend_preconfigured(tls(url.scheme() == "https")?);
        if is_here(&url) {
            builder = builder.no_proxy();
        } else if url.scheme() == "http" && key.is_some() {
            tracing::warn!(url = shown, "the key is sent without encryption");
        }
        let http = builder.build().map_err(|e| failed(format!("no HTTP client can be made: {e}")).source(e))?;
        let timeout = Duration::from_secs_f64(settings.timeout);
        Ok(Self { http, url, shown, model: model.to_owned(), dialect, authorization: key.header()?, key, timeout })
    }

    /// Sends `body` and gives the reply, of which at most `most` bytes are read.
    pub(crate) async fn post(&self, body: Bytes, most: usize) -> Result<Vec<u8>, Failure> {
        let mut request = self
            .http
            .post(self.url.clone())
            .timeout(self.timeout)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let asked = self.asked();
        let broken = |e: reqwest::Error| Failure::of_transport(&e, self.timeout, &asked);
        let mut response = request.body(body).send().await.map_err(broken)?;
        let status = response.status();
        if status.is_success() {
            return match read(&mut response, most).await.map_err(broken)? {
                Read::Whole(bytes) => Ok(bytes),
                Read::Cut(_) => Err(Failure::Final(
                    Error::new(ErrorKind::Request, format!("{} answered with more than {most} bytes", self.shown))
                        .hint("check the options dialect, base_url and width"),
                )),
            };
        }
        // What cannot be read of an error's body is no reason to forget the status.
        let said = match read(&mut response, ERROR_BODY).await {
            Ok(Read::Whole(bytes) | Read::Cut(bytes)) => bytes,
            Err(_) => Vec::new(),
        };
        let said = self.key.hidden_in(&said).unwrap_or(said);
        Err(Failure::of_status(status, response.headers(), &said, &asked))
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            url: &self.shown,
            model: &self.model,
            dialect: self.dialect,
            key_source: &self.key.source,
            reset_header: self.dialect.reset_header,
        }
    }
}

enum Read {
    Whole(Vec<u8>),
    Cut(Vec<u8>),
}

async fn read(response: &mut Response, most: usize) -> reqwest::Result<Read> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = most - bytes.len();
        if chunk.len() > room {
            bytes.extend_from_slice(&chunk[..room]);
            return Ok(Read::Cut(bytes));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Read::Whole(bytes))
}

/// TLS with the system's certificates, which are read only if they are `needed`. Made here, so that a program's own choice of
/// cryptography stays its own.
fn tls(needed: bool) -> Result<rustls::ClientConfig> {
    let failed = |e: rustls::Error| {
        Error::new(ErrorKind::Config, format!("TLS cannot be set up: {e}"))
            .hint("the system's certificates are used: on Linux, install ca-certificates")
            .source(e)
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(failed)?;
    let builder = if needed {
        builder.with_platform_verifier().map_err(failed)?
    } else {
        builder.with_root_certificates(rustls::RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}

/// Whether `url` is on this machine, where no proxy can reach it.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told_from_others() {
        for (url, here) in [
            ("http://localhost:1/x", true),
            ("http://127.0.0.9", true),
            ("http://[::1]:80", true),
            ("https://api.jina.ai", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_here(&Url::parse(url).unwrap()), here, "{url}");
        }
    }
}
