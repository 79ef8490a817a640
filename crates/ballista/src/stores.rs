//! Where files are: this machine's, and buckets, which are opened when a plan first names one.

use std::{collections::HashMap, env, sync::Arc, sync::Mutex, sync::PoisonError};

use datafusion::{
    common::{DataFusionError, plan_datafusion_err},
    error::Result,
    execution::{
        object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry},
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
};
use object_store::{ObjectStore, parse_url_opts};
use url::Url;

/// Opens `s3://`, `gs://`, `az://`, `abfs://`, `http://` and `https://` with what this process's environment says of them:
/// `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME` and so on.
///
/// Each process reads its own; what it finds never travels.
#[derive(Debug, Default)]
pub struct Stores {
    known: DefaultObjectStoreRegistry,
    opened: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

impl Stores {
    /// A builder of a runtime that finds files through such a registry.
    pub fn runtime() -> RuntimeEnvBuilder {
        RuntimeEnvBuilder::new().with_object_store_registry(Arc::new(Self::default()))
    }

    /// Such a runtime.
    pub fn runtime_env() -> Result<Arc<RuntimeEnv>> {
        Self::runtime().build_arc()
    }
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.known.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.known.deregister_store(url)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if let Ok(store) = self.known.get_store(url) {
            return Ok(store);
        }
        let place = format!("{}://{}", url.scheme(), url.authority());
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = opened.get(&place) {
            return Ok(Arc::clone(store));
        }
        let root = Url::parse(&place).map_err(|e| plan_datafusion_err!("{place} is not a place for files: {e}"))?;
        // The keys of the environment that a kind of store knows, it takes; the rest are passed over.
        let settings = env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
        let (store, _) = parse_url_opts(&root, settings).map_err(|e| DataFusionError::ObjectStore(Box::new(e)))?;
        let store: Arc<dyn ObjectStore> = Arc::from(store);
        opened.insert(place, Arc::clone(&store));
        Ok(store)
    }
}
