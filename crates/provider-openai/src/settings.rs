//! The options that only this provider knows, read once and typed.

use std::num::NonZeroU64;

use imbed_core::{EmbedOptions, Error, ErrorKind, Result, options::OptionSpec};
use reqwest::Url;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dialect::{Dialect, names};

/// Every option of this provider.
pub(crate) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: "dialect",
        values: "infinity | vllm | vllm-v2 | jina | voyage | cohere",
        summary: "what the service speaks (needed; openai itself takes no images)",
    },
    OptionSpec { name: "base_url", values: "a URL", summary: "where the service is (default: the dialect's)" },
    OptionSpec {
        name: "api_key_env",
        values: "a variable's name",
        summary: "the environment variable with the key (default: the dialect's, such as JINA_API_KEY)",
    },
    OptionSpec {
        name: "api_key",
        values: "the key",
        summary: "the key itself, for imbed.toml; never recorded, shown or sent to other workers",
    },
    OptionSpec {
        name: "width",
        values: "1, 2, 3, …",
        summary: "numbers per vector that the model gives, for models that are not in the table",
    },
    OptionSpec {
        name: "probe",
        values: "true | false",
        summary: "ask the service for the width of an unknown model, with one request (default false)",
    },
    OptionSpec {
        name: "input_type",
        values: "what the service offers",
        summary: "jina's task or voyage's input_type, such as query or document (default: left out)",
    },
    OptionSpec {
        name: "encoding",
        values: "float | base64",
        summary: "how vectors come back (default: the dialect's; base64 is shorter)",
    },
    OptionSpec {
        name: "max_image_pixels",
        values: "1, 2, 3, …",
        summary: "larger images are shrunk before they are sent (default: the service's limit)",
    },
    OptionSpec {
        name: "max_request_rows",
        values: "1, 2, 3, …",
        summary: "images of one request (default: the service's limit; batch_size bounds it too)",
    },
    OptionSpec {
        name: "max_request_bytes",
        values: "1, 2, 3, …",
        summary: "bytes of one request (default: the service's limit)",
    },
    OptionSpec { name: "requests_per_minute", values: "1, 2, 3, …", summary: "a rate limit (default none)" },
    OptionSpec {
        name: "tokens_per_minute",
        values: "1, 2, 3, …",
        summary: "a rate limit, by the tokens that the service counts in its replies (default none)",
    },
    OptionSpec {
        name: "timeout",
        values: "seconds",
        summary: "how long one try may take, from connecting to the last byte (default 60)",
    },
];

/// The options that change vectors, and so are kept with them.
const CHANGE_VECTORS: &[&str] = &["dialect", "base_url", "input_type", "max_image_pixels"];

/// Seconds that one try may take where nobody says.
const TIMEOUT: f64 = 60.0;

/// How vectors come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encoding {
    Float,
    Base64,
}

/// This provider's options, typed, without the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) dialect: String,
    /// Without a slash at its end.
    pub(crate) base_url: String,
    pub(crate) api_key_env: Option<String>,
    pub(crate) width: Option<usize>,
    pub(crate) probe: bool,
    pub(crate) input_type: Option<String>,
    pub(crate) encoding: Encoding,
    pub(crate) max_image_pixels: Option<u64>,
    pub(crate) max_request_rows: Option<u64>,
    pub(crate) max_request_bytes: Option<u64>,
    pub(crate) requests_per_minute: Option<u64>,
    pub(crate) tokens_per_minute: Option<u64>,
    /// Seconds.
    pub(crate) timeout: f64,
}

impl Settings {
    /// Reads `options.extra`.
    pub(crate) fn read(options: &EmbedOptions) -> Result<(Self, Option<SecretString>)> {
        let read = Reader(options);
        read.refuse_unknown()?;
        let name = read.text("dialect")?.ok_or_else(|| {
            Error::new(ErrorKind::BadOption, "the provider openai speaks several dialects, and none is named")
                .hint(format!("set dialect to one of: {}", names()))
        })?;
        let dialect = Dialect::find(&name)?;
        let encoding = read.text("encoding")?;
        let settings = Self {
            base_url: read.text("base_url")?.map_or_else(|| Ok(dialect.base_url.to_owned()), |url| base_url(&url))?,
            api_key_env: read.text("api_key_env")?,
            width: read.number("width")?.map(|n| n as usize),
            probe: read.flag("probe")?,
            input_type: read.text("input_type")?,
            encoding: match encoding.as_deref() {
                None if dialect.base64 => Encoding::Base64,
                None | Some("float") => Encoding::Float,
                Some("base64") => Encoding::Base64,
                Some(_) => return Err(read.wrong("encoding")),
            },
            max_image_pixels: read.number("max_image_pixels")?,
            max_request_rows: read.number("max_request_rows")?,
            max_request_bytes: read.number("max_request_bytes")?,
            requests_per_minute: read.number("requests_per_minute")?,
            tokens_per_minute: read.number("tokens_per_minute")?,
            timeout: read.seconds("timeout")?.unwrap_or(TIMEOUT),
            dialect: name,
        };
        Ok((settings, read.key()?))
    }

    /// The dialect. An error only where the settings come from a program that knows other ones.
    pub(crate) fn dialect(&self) -> Result<&'static Dialect> {
        Dialect::find(&self.dialect)
    }

    /// Where requests go. `/v1` at the end of the base URL and at the start of the dialect's path is the same `/v1`.
    pub(crate) fn url(&self, dialect: &Dialect) -> String {
        let path = dialect.path;
        let version = path[1..].split('/').next().unwrap_or_default();
        let doubled = !version.is_empty() && self.base_url.rsplit('/').next() == Some(version);
        format!("{}{}", self.base_url, if doubled { &path[1 + version.len()..] } else { path })
    }
}

/// `options` as they may be recorded: of this provider's own, those that change vectors.
pub(crate) fn recorded(options: &EmbedOptions) -> EmbedOptions {
    let mut options = options.clone();
    options.extra.retain(|name, _| CHANGE_VECTORS.contains(&name.as_str()));
    options
}

/// `text` as the start of a URL.
fn base_url(text: &str) -> Result<String> {
    let wrong = |why: &str| {
        Error::new(ErrorKind::BadOption, format!("base_url {why}"))
            .hint("give it as http://HOST:PORT or https://HOST/PATH; a key goes into api_key_env")
    };
    let url = Url::parse(text).map_err(|e| wrong(&format!("is not a URL: {e}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(wrong("is not the URL of a web service"));
    }
    // Neither is repeated in the message: that is where people put keys.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("holds a user name or a password, which would be written into the output"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("holds a query or a fragment"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Reads one option after another.
struct Reader<'a>(&'a EmbedOptions);

impl Reader<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.extra.get(name).filter(|value| !value.is_null())
    }

    fn refuse_unknown(&self) -> Result<()> {
        match self.0.extra.keys().find(|name| OPTIONS.iter().all(|o| o.name != *name)) {
            None => Ok(()),
            Some(name) => Err(Error::new(ErrorKind::BadOption, format!("the provider openai has no option '{name}'"))
                .hint("see `imbed providers` for the options of each")),
        }
    }

    /// The error for a value of the wrong sort. The key's is never shown.
    fn wrong(&self, name: &str) -> Error {
        let shown = match self.get(name) {
            Some(value) if name != "api_key" => value.to_string(),
            _ => "what was given".to_owned(),
        };
        let values = OPTIONS.iter().find(|o| o.name == name).map_or("", |o| o.values);
        Error::new(ErrorKind::BadOption, format!("the option {name} cannot be {shown}"))
            .hint(format!("{name} takes {values}"))
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
            // Also a key of digits only: it was read as a number, which has fewer of them.
            Some(_) => Err(self.wrong(name)),
        }
    }

    fn number(&self, name: &str) -> Result<Option<u64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = match value {
            Value::String(text) => text.parse().ok(),
            value => value.as_u64(),
        };
        match number.and_then(NonZeroU64::new) {
            Some(number) => Ok(Some(number.get())),
            None => Err(self.wrong(name)),
        }
    }

    fn seconds(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.as_f64().filter(|s| s.is_finite() && *s > 0.0 && *s <= 86_400.0) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(self.wrong(name)),
        }
    }

    fn flag(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name)),
        }
    }

    fn key(&self) -> Result<Option<SecretString>> {
        Ok(self.text("api_key")?.map(SecretString::from))
    }
}

#[cfg(test)]
mod tests {
    use imbed_core::options::OptionMap;

    use super::*;

    fn options(pairs: &[(&'static str, &'static str)]) -> EmbedOptions {
        pairs.iter().copied().collect::<OptionMap>().read(OPTIONS).unwrap()
    }

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Settings> {
        Settings::read(&options(pairs)).map(|(settings, _)| settings)
    }

    #[test]
    fn a_dialect_brings_its_defaults() {
        let settings = read(&[("dialect", "infinity")]).unwrap();
        assert_eq!(settings.base_url, "http://127.0.0.1:7997");
        assert_eq!((settings.encoding, settings.timeout), (Encoding::Base64, 60.0));
        assert_eq!(read(&[("dialect", "cohere")]).unwrap().encoding, Encoding::Float);
    }

    #[test]
    fn no_dialect_is_an_error_that_lists_them() {
        let error = read(&[]).unwrap_err();
        assert!(error.hint_text().unwrap().contains("infinity, vllm"), "{error}");
    }

    #[test]
    fn wrong_values_name_the_option_and_what_it_takes() {
        for (name, value) in [
            ("width", "0"),
            ("width", "many"),
            ("encoding", "json"),
            ("probe", "perhaps"),
            ("timeout", "-1"),
            ("base_url", "ftp://x"),
            ("base_url", "here"),
            ("requests_per_minute", "1.5"),
        ] {
            let error = read(&[("dialect", "jina"), (name, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadOption, "{name}");
            assert!(error.message().contains(name) && error.hint_text().is_some(), "{error}");
        }
    }

    #[test]
    fn a_base_url_with_a_secret_in_it_is_refused_without_repeating_it() {
        for url in ["https://me:hunter2@host/", "https://host/?key=hunter2", "https://host/#hunter2"] {
            let error = read(&[("dialect", "jina"), ("base_url", url)]).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_key_is_neither_among_the_settings_nor_among_what_is_recorded() {
        let given = options(&[("dialect", "jina"), ("api_key", "sk-secret"), ("timeout", "5")]);
        let (settings, secret) = Settings::read(&given).unwrap();
        let shown = format!("{settings:?} {} {secret:?}", serde_json::to_string(&settings).unwrap());
        assert!(secret.is_some() && !shown.contains("sk-secret"), "{shown}");
        assert_eq!(recorded(&given).extra.keys().collect::<Vec<_>>(), ["dialect"]);
        let error = read(&[("dialect", "jina"), ("api_key", "12345678901234567890123")]).unwrap_err();
        assert!(!error.to_string().contains("123"), "{error}");
    }

    #[test]
    fn a_version_in_the_base_url_is_not_doubled() {
        for (dialect, base, url) in [
            ("vllm", "http://h:8000", "http://h:8000/v1/embeddings"),
            ("vllm", "http://h:8000/v1/", "http://h:8000/v1/embeddings"),
            ("vllm-v2", "http://h/v1", "http://h/v1/v2/embed"),
            ("infinity", "http://h/v1", "http://h/v1/embeddings"),
            ("cohere", "https://h/a/v2", "https://h/a/v2/embed"),
        ] {
            let settings = read(&[("dialect", dialect), ("base_url", base)]).unwrap();
            assert_eq!(settings.url(settings.dialect().unwrap()), url);
        }
    }
}
