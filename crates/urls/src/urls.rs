//! What the engine is given.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use imbed_core::{
    Error, Result,
    address::{is_web, shown},
};
use imbed_engine::{Fetch, Terms, Watch};
use ureq::{
    Agent,
    config::RedirectAuthHeaders,
    tls::{RootCerts, TlsConfig},
    unversioned::transport::{Connector, DefaultConnector},
};

use crate::{
    Host, Limits, address,
    failure::{Failure, refused},
    request::{Clock, Request},
    resolve::{Checked, Lookup, SystemLookup},
};

/// The wait after the first failure; doubled after each further one.
const WAIT: Duration = Duration::from_millis(250);

/// Fetches images over HTTP, for [`EngineBuilder::fetch`](imbed_engine::EngineBuilder::fetch).
///
/// ```no_run
/// # fn engine(descriptor: std::sync::Arc<dyn imbed_core::ImageEmbedderDescriptor>) -> imbed_core::Result<()> {
/// use std::sync::Arc;
/// use imbed_urls::{Limits, Urls};
///
/// let urls = Urls::new(vec!["images.internal".parse()?], Limits::default());
/// let engine = imbed_engine::Engine::builder(descriptor).fetch(Some(Arc::new(urls))).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Urls {
    agent: Agent,
    limits: Limits,
}

impl Urls {
    /// Fetches from the public internet, and from the hosts that are `allowed` wherever they are.
    #[must_use]
    pub fn new(allowed: Vec<Host>, limits: Limits) -> Self {
        Self::with_parts(allowed, limits, Arc::new(SystemLookup), DefaultConnector::default())
    }

    pub(crate) fn with_parts(
        allowed: Vec<Host>,
        limits: Limits,
        lookup: Arc<dyn Lookup>,
        connector: impl Connector,
    ) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // Followed by us, so that each is looked at.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::Never)
            // A proxy would look names up itself, where nobody checks what they lead to.
            .proxy(None)
            .max_idle_connections(limits.at_once.get())
            .max_idle_connections_per_host(limits.at_once.get())
            .user_agent(concat!("imbed/", env!("CARGO_PKG_VERSION")))
            .accept("image/*, */*;q=0.5")
            .build();
        Self { agent: Agent::with_parts(config, connector, Checked { lookup, allowed }), limits }
    }

    fn fetch_again(&self, place: &str, terms: &Terms, watch: &mut dyn Watch) -> Result<Vec<u8>> {
        let url = address::parse(place).map_err(|why| refused(why).hint("mend the address, or give a path"))?;
        let mut clock = Clock::new(self.limits.time);
        let mut failed = 0;
        loop {
            let request = Request { agent: &self.agent, limits: &self.limits, max_bytes: terms.max_bytes };
            let Failure { error, wait } = match request.send(&url, &mut clock, watch) {
                Ok(bytes) => return Ok(bytes),
                Err(failure) => failure,
            };
            if !error.is_temporary() || failed >= terms.max_retries {
                return Err(error);
            }
            let asked = wait.map(|wait| format!("{}, and asks for {} s of rest", error.message(), wait.as_secs()));
            let wait = wait.unwrap_or_else(|| WAIT.saturating_mul(1 << failed.min(10)));
            if wait >= clock.left() {
                let error = asked.map_or_else(|| error.clone(), |said| Error::new(error.kind(), said));
                return Err(error.hint("give slow servers more time with --url-timeout SECONDS"));
            }
            failed += 1;
            tracing::debug!("url.full" = %shown(place), error = error.message(), ?wait, "a fetch failed temporarily and is repeated");
            watch.again(wait)?;
        }
    }
}

impl Fetch for Urls {
    fn takes(&self, place: &str) -> bool {
        is_web(place.trim_start())
    }

    fn at_once(&self) -> NonZeroUsize {
        self.limits.at_once
    }

    fn fetch(&self, place: &str, terms: &Terms, watch: &mut dyn Watch) -> Result<Vec<u8>> {
        let span = tracing::debug_span!("fetch", "http.request.method" = "GET", "url.full" = %shown(place));
        span.in_scope(|| self.fetch_again(place, terms, watch)).map_err(|error| match error.kind() {
            imbed_core::ErrorKind::Cancelled => error,
            _ => error.context(shown(place.trim())),
        })
    }
}

#[cfg(test)]
mod tests;
