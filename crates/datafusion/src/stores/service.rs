//! The services whose stores can be made from an address and the environment.

use std::{path::Path, sync::Arc, time::Duration};

use imbed_core::{Error, ErrorKind, Result};
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    http::HttpBuilder,
};
use url::{Position, Url};

use super::{credentials::Expected, failure::root};

/// What stands behind a scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    S3,
    Google,
    Azure,
    /// Any web server.
    Http,
    /// One whose stores are registered with the session.
    Other,
}

/// Whether a variable of this name is a setting of a service.
pub(super) fn is_variable(name: &str) -> bool {
    ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix))
        || ["SERVICE_ACCOUNT", "IDENTITY_ENDPOINT"].contains(&name)
}

/// Requests are repeated a few times, for half a minute at most.
fn retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 5, retry_timeout: Duration::from_secs(30) }
}

/// The machine that tells its own credentials is near or not there.
fn brief_retries() -> RetryConfig {
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 1, retry_timeout: Duration::from_secs(2) }
}

impl Service {
    pub(crate) fn of(scheme: &str) -> Self {
        match scheme {
            "s3" | "s3a" => Self::S3,
            "gs" | "gcs" => Self::Google,
            "az" | "abfs" | "abfss" | "azure" | "adl" => Self::Azure,
            "http" | "https" => Self::Http,
            _ => Self::Other,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::Google => "Google Cloud Storage",
            Self::Azure => "Azure",
            Self::Http => "HTTP",
            Self::Other => "the store",
        }
    }

    /// Whether a listing is sorted by the bytes of its keys, as the service's documentation promises.
    pub(crate) fn lists_in_order(self, bucket: &str) -> bool {
        match self {
            // Directory buckets, whose names end so, are listed in no order.
            Self::S3 => !bucket.ends_with("--x-s3"),
            Self::Google => true,
            Self::Azure | Self::Http | Self::Other => false,
        }
    }

    /// What to set for a request to be allowed.
    pub(super) const fn credentials_hint(self) -> &'static str {
        match self {
            Self::S3 => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), or AWS_SKIP_SIGNATURE=true for a \
                 public bucket; profiles are not read: eval \"$(aws configure export-credentials --format env)\" sets their \
                 variables"
            }
            Self::Google => {
                "set GOOGLE_APPLICATION_CREDENTIALS to a key file, log in with `gcloud auth application-default login`, or \
                 set GOOGLE_SKIP_SIGNATURE=true for a public bucket"
            }
            Self::Azure => {
                "set AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or \
                 AZURE_USE_AZURE_CLI=true after `az login`, or AZURE_SKIP_SIGNATURE=true for a public container"
            }
            Self::Http => "download the file, or put it into a bucket: requests to web servers carry no credentials",
            Self::Other => "look at how this store was registered",
        }
    }

    /// What to look at if nobody answers.
    pub(super) const fn address_hint(self) -> &'static str {
        match self {
            Self::S3 => {
                "check the network, AWS_REGION, and for a service other than AWS its address in AWS_ENDPOINT_URL (with \
                 AWS_ALLOW_HTTP=true if that begins with http://)"
            }
            Self::Google | Self::Azure => "check the network and the name",
            Self::Http => "check the network and the address",
            Self::Other => "look at how this store was registered",
        }
    }

    /// What says how long a request may take, where something does.
    pub(super) const fn timeout_variable(self) -> Option<&'static str> {
        match self {
            Self::S3 => Some("AWS_TIMEOUT"),
            Self::Google => Some("GOOGLE_TIMEOUT"),
            Self::Azure => Some("AZURE_TIMEOUT"),
            Self::Http | Self::Other => None,
        }
    }

    /// The store of `url`'s bucket or server.
    pub(super) fn connect(self, url: &Url, variables: &[(String, String)]) -> Result<Arc<dyn ObjectStore>> {
        let bucket = url.host_str().unwrap_or_default();
        // Without what stands before an @, which may be secret.
        let place = format!("{}://{}", url.scheme(), &url[Position::BeforeHost..Position::AfterPort]);
        if url.password().is_some() || !(url.username().is_empty() || self == Self::Azure) {
            return Err(Error::new(ErrorKind::BadInput, format!("{place}: credentials are not taken from an address"))
                .hint(self.credentials_hint()));
        }
        if bucket.is_empty() && self != Self::Other {
            return Err(Error::new(ErrorKind::BadInput, format!("{place}: the address names no bucket"))
                .hint(format!("{}://BUCKET/FOLDER/**", url.scheme())));
        }
        let made = match self {
            Self::S3 => s3(bucket, variables),
            Self::Google => google(bucket, variables),
            Self::Azure => azure(url, variables),
            Self::Http => http(url),
            Self::Other => {
                return Err(Error::new(ErrorKind::BadInput, format!("there is no store for {}://", url.scheme()))
                    .hint(
                        "s3://, gs://, az://, abfss://, http:// and https:// are known; others are registered in Rust",
                    ));
            }
        };
        made.map_err(|e| Error::new(ErrorKind::Config, format!("{place}: {}", root(&e))).hint(self.credentials_hint()))
    }
}

/// The settings whose names begin with `prefix`, as `object_store` spells them.
fn settings<'a, K: std::str::FromStr>(
    prefix: &'a str,
    variables: &'a [(String, String)],
) -> impl Iterator<Item = (K, &'a str)> {
    let ours = variables.iter().filter(move |(name, _)| name.starts_with(prefix));
    // The environment holds other variables with these prefixes too.
    ours.filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.as_str())))
}

/// Whether a setting says something: switches that are off do not.
fn is_set(value: Option<String>) -> bool {
    value.is_some_and(|value| value != "false")
}

fn is_true(value: Option<String>) -> bool {
    value.is_some_and(|value| ["1", "true", "on", "yes", "y"].contains(&value.to_ascii_lowercase().as_str()))
}

fn s3(bucket: &str, variables: &[(String, String)]) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::new().with_retry(retries());
    for (key, value) in settings("AWS_", variables) {
        builder = builder.with_config(key, value);
    }
    builder = builder.with_bucket_name(bucket);
    let explicit = [
        AmazonS3ConfigKey::AccessKeyId,
        AmazonS3ConfigKey::SecretAccessKey,
        AmazonS3ConfigKey::WebIdentityTokenFile,
        AmazonS3ConfigKey::ContainerCredentialsRelativeUri,
        AmazonS3ConfigKey::ContainerCredentialsFullUri,
        AmazonS3ConfigKey::SkipSignature,
    ];
    if !explicit.iter().any(|key| is_set(builder.get_config_value(key))) {
        let asked = builder.clone().with_retry(brief_retries()).build()?;
        let off = variables.iter().find(|(name, _)| name == "AWS_EC2_METADATA_DISABLED");
        let off = is_true(off.map(|(_, value)| value.clone()));
        builder = builder.with_credentials(Expected::of(asked.credentials(), Service::S3, off));
    }
    Ok(Arc::new(builder.build()?))
}

fn google(bucket: &str, variables: &[(String, String)]) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::new().with_retry(retries());
    if let Some((_, path)) = variables.iter().find(|(name, _)| name == "SERVICE_ACCOUNT") {
        builder = builder.with_service_account_path(path);
    }
    for (key, value) in settings("GOOGLE_", variables) {
        builder = builder.with_config(key, value);
    }
    builder = builder.with_bucket_name(bucket);
    let explicit = [
        GoogleConfigKey::ServiceAccount,
        GoogleConfigKey::ServiceAccountKey,
        GoogleConfigKey::ApplicationCredentials,
        GoogleConfigKey::SkipSignature,
    ];
    if !explicit.iter().any(|key| is_set(builder.get_config_value(key))) && !logged_in_to_google() {
        let asked = builder.clone().with_retry(brief_retries()).build()?;
        builder = builder.with_credentials(Expected::of(asked.credentials(), Service::Google, false));
    }
    Ok(Arc::new(builder.build()?))
}

/// Whether `gcloud auth application-default login` has left its file.
fn logged_in_to_google() -> bool {
    let (home, file) = if cfg!(windows) {
        ("APPDATA", "gcloud/application_default_credentials.json")
    } else {
        ("HOME", ".config/gcloud/application_default_credentials.json")
    };
    std::env::var_os(home).is_some_and(|home| Path::new(&home).join(file).exists())
}

fn azure(url: &Url, variables: &[(String, String)]) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::new().with_retry(retries());
    for (key, value) in settings("AZURE_", variables) {
        builder = builder.with_config(key, value);
    }
    if let Some((_, endpoint)) = variables.iter().find(|(name, _)| name == "IDENTITY_ENDPOINT") {
        builder = builder.with_msi_endpoint(endpoint);
    }
    builder = builder.with_url(url.as_str());
    let explicit = [
        AzureConfigKey::AccessKey,
        AzureConfigKey::SasKey,
        AzureConfigKey::Token,
        AzureConfigKey::ClientSecret,
        AzureConfigKey::FederatedTokenFile,
        AzureConfigKey::MsiEndpoint,
        AzureConfigKey::UseAzureCli,
        AzureConfigKey::UseEmulator,
        AzureConfigKey::FabricTokenServiceUrl,
        AzureConfigKey::SkipSignature,
    ];
    if !explicit.iter().any(|key| is_set(builder.get_config_value(key))) {
        let asked = builder.clone().with_retry(brief_retries()).build()?;
        builder = builder.with_credentials(Expected::of(asked.credentials(), Service::Azure, false));
    }
    Ok(Arc::new(builder.build()?))
}

fn http(url: &Url) -> object_store::Result<Arc<dyn ObjectStore>> {
    // Whoever writes http:// means it.
    let options = ClientOptions::new().with_allow_http(url.scheme() == "http");
    let server = &url[..Position::BeforePath];
    Ok(Arc::new(HttpBuilder::new().with_url(server).with_client_options(options).with_retry(retries()).build()?))
}
