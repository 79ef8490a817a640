//! Credentials that a machine in a cloud tells its programs, where nobody has set others.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use imbed_core::{Error, ErrorKind};
use object_store::CredentialProvider;
use tokio::time::timeout;

use super::Service;

/// How long the machine may take to tell.
const WAIT: Duration = Duration::from_secs(4);

/// Asks the machine, and says what to set if it does not answer: outside of a cloud nobody is there to ask.
pub(super) struct Expected<C> {
    inner: Arc<dyn CredentialProvider<Credential = C>>,
    service: Service,
    /// Whether the user said not to ask.
    off: bool,
}

impl<C: Send + Sync + 'static> Expected<C> {
    pub(super) fn of(
        inner: &Arc<dyn CredentialProvider<Credential = C>>,
        service: Service,
        off: bool,
    ) -> Arc<dyn CredentialProvider<Credential = C>> {
        Arc::new(Self { inner: Arc::clone(inner), service, off })
    }
}

#[async_trait]
impl<C: Send + Sync + 'static> CredentialProvider for Expected<C> {
    type Credential = C;

    async fn get_credential(&self) -> object_store::Result<Arc<C>> {
        if !self.off
            && let Ok(Ok(credential)) = timeout(WAIT, self.inner.get_credential()).await
        {
            return Ok(credential);
        }
        let asked = if self.off { "" } else { ", and this machine has none of its own" };
        let missing = format!("no credentials for {} are set{asked}", self.service.name());
        let missing = Error::new(ErrorKind::Config, missing).hint(self.service.credentials_hint());
        Err(object_store::Error::Generic { store: self.service.name(), source: Box::new(missing) })
    }
}

impl<C> fmt::Debug for Expected<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expected").field("service", &self.service).finish_non_exhaustive()
    }
}
