//! Buckets and web servers as stores of DataFusion, made when a query first names them.
//!
//! ```text
//!   images('s3://photos/**')  FROM 's3://b/x.parquet'  COPY … TO 'gs://…'
//!              |                        |                     |
//!              +------------------------+---------------------+
//!                                       v
//!              Stores: one store per scheme and bucket, settings from the environment
//!                                       v
//!              Footers: the footers of Parquet files are looked at before DataFusion reads them
//!                                       v
//!              Explained: object_store's, with errors that name the URL, why, and the next step
//! ```
//!
//! Credentials are read from the variables of the machine that sends the requests. No query, plan or message holds them.

mod credentials;
mod explained;
mod failure;
mod footers;
mod held;
mod list;
mod service;
mod tables;
mod upload;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use datafusion::{
    common::{Result as PlanResult, exec_datafusion_err},
    execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry},
};
use object_store::ObjectStore;
use url::{Position, Url};

pub use held::{HeldCopy, hold_copy};
pub use tables::{is_url, store_table, with_file_tables};

pub use failure::from_store;
use footers::Footers;
pub(crate) use service::Service;

use crate::error::wrap;

/// The stores of a session: those that were registered, and those of `s3://`, `gs://`, `az://`, `abfs(s)://` and `http(s)://`, which are
/// made when they are first asked for. All of them refuse Parquet files whose footers ask for more memory than there may be.
///
/// A session of [`Imbed`](crate::Imbed) has one. A cluster's scheduler and executors need it in their runtimes as well:
///
/// ```
/// use std::sync::Arc;
/// use datafusion::execution::{object_store::ObjectStoreUrl, runtime_env::RuntimeEnvBuilder};
/// use imbed_datafusion::Stores;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime =
///     RuntimeEnvBuilder::new().with_object_store_registry(Arc::new(Stores::from_environment())).build()?;
/// assert!(runtime.object_store(&ObjectStoreUrl::parse("s3://photos")?).is_ok());
/// # Ok(())
/// # }
/// ```
pub struct Stores {
    variables: Variables,
    registered: Arc<dyn ObjectStoreRegistry>,
    made: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

/// Settings by the names that environment variables have.
type Variables = Arc<Vec<(String, String)>>;

impl Stores {
    /// Stores with the settings of this process: `AWS_…`, `GOOGLE_…` and `AZURE_…`.
    pub fn from_environment() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::new(std::env::vars_os().filter_map(text))
    }

    /// Stores with these settings in place of the process's environment, by the same names.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = variables.into_iter().filter(|(name, _)| service::is_variable(name));
        Self {
            variables: Arc::new(ours.collect()),
            registered: Arc::new(DefaultObjectStoreRegistry::new()),
            made: Mutex::default(),
        }
    }

    /// The same settings, behind `registered`: what that knows is not made here.
    #[must_use]
    pub fn behind(&self, registered: Arc<dyn ObjectStoreRegistry>) -> Self {
        Self { variables: Arc::clone(&self.variables), registered, made: Mutex::default() }
    }

    fn make(&self, url: &Url) -> imbed_core::Result<Arc<dyn ObjectStore>> {
        let service = Service::of(url.scheme());
        let key = key(url, service);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = made.get(&key) {
            return Ok(Arc::clone(store));
        }
        let store = service.connect(url, &self.variables)?;
        let explained = Arc::new(explained::Explained::new(store, service, &key));
        let store: Arc<dyn ObjectStore> = Arc::new(Footers::new(explained, format!("{key}/")));
        made.insert(key, Arc::clone(&store));
        Ok(store)
    }
}

/// Scheme and bucket. DataFusion's own key leaves out what stands before an `@`, which is Azure's container.
fn key(url: &Url, service: Service) -> String {
    let start = if service == Service::Azure { Position::BeforeUsername } else { Position::BeforeHost };
    format!("{}://{}", url.scheme(), &url[start..Position::AfterPort])
}

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.registered.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> PlanResult<Arc<dyn ObjectStore>> {
        let made =
            self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(url, Service::of(url.scheme())));
        match made {
            Some(store) => Ok(store),
            None => self.registered.deregister_store(url),
        }
    }

    fn get_store(&self, url: &Url) -> PlanResult<Arc<dyn ObjectStore>> {
        if let Ok(store) = self.registered.get_store(url) {
            let root = match url.scheme() {
                "file" => String::new(),
                scheme => key(url, Service::of(scheme)),
            };
            return Ok(Arc::new(Footers::new(store, root + "/")));
        }
        if url.scheme() == "file" {
            return Err(exec_datafusion_err!("this session was given no local files"));
        }
        self.make(url).map_err(wrap)
    }
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let mut made: Vec<&String> = made.keys().collect();
        made.sort();
        // Not the variables: some are secret.
        f.debug_struct("Stores").field("registered", &self.registered).field("made", &made).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use imbed_core::ErrorKind;
    use object_store::memory::InMemory;

    use super::*;
    use crate::cause;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn stores(variables: &[(&str, &str)]) -> Stores {
        Stores::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn a_store_is_made_once_for_each_bucket() {
        let stores = stores(&[("AZURE_STORAGE_ACCOUNT_NAME", "account"), ("AZURE_SKIP_SIGNATURE", "true")]);
        let get = |text: &str| stores.get_store(&url(text)).unwrap();
        assert!(Arc::ptr_eq(&get("s3://a/x"), &get("s3://a/y")));
        assert!(!Arc::ptr_eq(&get("s3://a"), &get("s3://b")));
        let containers = ["abfss://one@account.dfs.core.windows.net/x", "abfss://two@account.dfs.core.windows.net/x"];
        assert!(!Arc::ptr_eq(&get(containers[0]), &get(containers[1])));
        for known in ["gs://b/x", "az://c/x", "abfs://c/x", "http://127.0.0.1:9/x", "https://host/x", "file:///x"] {
            let _ = get(known);
        }
    }

    #[test]
    fn what_was_registered_comes_first_and_can_be_taken_back() {
        let stores = stores(&[]);
        let is_mine = || stores.get_store(&url("s3://mine/x")).unwrap().to_string() == InMemory::new().to_string();
        stores.register_store(&url("s3://mine"), Arc::new(InMemory::new()));
        assert!(is_mine());
        stores.deregister_store(&url("s3://mine")).unwrap();
        assert!(!is_mine());
    }

    #[test]
    fn what_cannot_be_a_store_says_why() {
        let stores = stores(&[("AWS_ACCESS_KEY_ID", "id-canary"), ("AWS_ALLOW_HTTP", "perhaps")]);
        let error = |text: &str| cause(&stores.get_store(&url(text)).unwrap_err());
        let unknown = error("hdfs://cluster/x");
        assert!(unknown.message().contains("hdfs://") && unknown.hint_text().unwrap().contains("s3://"), "{unknown}");
        let incomplete = error("s3://bucket/x");
        assert_eq!(incomplete.kind(), ErrorKind::Config);
        assert!(incomplete.hint_text().unwrap().contains("AWS_SECRET_ACCESS_KEY"), "{incomplete}");
        let account = error("az://container/x");
        assert!(account.hint_text().unwrap().contains("AZURE_STORAGE_ACCOUNT_NAME"), "{account}");
        let password = error("https://user:word-canary@host/x");
        assert!(password.message().contains("https://host"), "{password}");
        for error in [incomplete, password] {
            assert!(!error.to_string().contains("canary"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let secret = "secret-canary";
        let stores = stores(&[
            ("AWS_ACCESS_KEY_ID", secret),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
            ("AZURE_STORAGE_SAS_TOKEN", "sig=secret-canary"),
        ]);
        for text in ["s3://b", "az://c"] {
            let store = stores.get_store(&url(text)).unwrap();
            assert!(!format!("{store:?} {store}").contains("canary"));
        }
        assert!(!format!("{stores:?}").contains("canary"));
    }
}
