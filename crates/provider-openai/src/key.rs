//! The key of a service: where it comes from, and that nobody sees it.

use std::env::VarError;

use imbed_core::{Error, ErrorKind, Result};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::dialect::Dialect;

/// A key, or none, and where it was looked for.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    secret: Option<SecretString>,
    /// For messages.
    pub(crate) source: String,
}

impl Key {
    /// The key given as an option, else the one in the environment variable that is named, else in the dialect's own.
    pub(crate) fn find(dialect: &Dialect, given: Option<&SecretString>, variable: Option<&str>) -> Result<Self> {
        Self::find_in(dialect, given, variable, |name| std::env::var(name))
    }

    fn find_in(
        dialect: &Dialect,
        given: Option<&SecretString>,
        variable: Option<&str>,
        environment: impl Fn(&str) -> Result<String, VarError>,
    ) -> Result<Self> {
        if let Some(secret) = given {
            return Self::checked(secret.clone(), "the option api_key".to_owned());
        }
        let name = variable.unwrap_or(dialect.key_variable);
        match environment(name) {
            Ok(text) if !text.trim().is_empty() => {
                Self::checked(SecretString::from(text.trim()), format!("the environment variable {name}"))
            }
            Err(VarError::NotUnicode(_)) => {
                Err(Error::new(ErrorKind::Config, format!("the environment variable {name} is not text")))
            }
            _ if variable.is_some() || dialect.key_required => {
                Err(Error::new(ErrorKind::Config, format!("there is no key for {}", dialect.summary))
                    .hint(format!("set the environment variable {name}; api_key_env names another one")))
            }
            _ => Ok(Self { secret: None, source: format!("the environment variable {name}, which is not set") }),
        }
    }

    /// A key that a header can hold.
    fn checked(secret: SecretString, source: String) -> Result<Self> {
        if secret.expose_secret().bytes().any(|b| !(0x21..=0x7e).contains(&b)) {
            return Err(Error::new(ErrorKind::Config, format!("{source} holds characters that no key has"))
                .hint("a key is one word of letters, digits and signs; look for spaces and line ends inside it"));
        }
        Ok(Self { secret: Some(secret), source })
    }

    /// The `Authorization` header; marked so that no log shows it.
    pub(crate) fn header(&self) -> Result<Option<HeaderValue>> {
        let Some(secret) = &self.secret else { return Ok(None) };
        let mut header = HeaderValue::try_from(format!("Bearer {}", secret.expose_secret()))
            .map_err(|_| Error::new(ErrorKind::Config, format!("{} cannot be sent as a header", self.source)))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    /// Whether there is one.
    pub(crate) fn is_some(&self) -> bool {
        self.secret.is_some()
    }

    /// `text` without the key: some services repeat it in what they say of it.
    pub(crate) fn hidden_in(&self, text: &[u8]) -> Option<Vec<u8>> {
        let key = self.secret.as_ref()?.expose_secret();
        let text = std::str::from_utf8(text).ok().filter(|text| text.contains(key))?;
        Some(text.replace(key, "[the key]").into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "sk-top-secret";

    fn find(dialect: &str, given: Option<&str>, variable: Option<&str>, environment: &[(&str, &str)]) -> Result<Key> {
        let given = given.map(SecretString::from);
        Key::find_in(Dialect::find(dialect)?, given.as_ref(), variable, |name| {
            environment
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, value)| (*value).to_owned())
                .ok_or(VarError::NotPresent)
        })
    }

    fn header(key: &Key) -> Option<String> {
        key.header().unwrap().map(|h| h.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_option_wins_over_the_named_variable_and_that_over_the_dialects_own() {
        let environment = [("JINA_API_KEY", "own"), ("MINE", "named\n")];
        for (given, variable, expected) in
            [(Some("given"), Some("MINE"), "given"), (None, Some("MINE"), "named"), (None, None, "own")]
        {
            let key = find("jina", given, variable, &environment).unwrap();
            assert_eq!(header(&key).unwrap(), format!("Bearer {expected}"));
        }
    }

    #[test]
    fn a_missing_key_names_its_variable_where_one_is_needed() {
        for (dialect, variable, named) in [("jina", None, "JINA_API_KEY"), ("infinity", Some("MINE"), "MINE")] {
            let error = find(dialect, None, variable, &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.hint_text().unwrap().contains(named), "{error}");
        }
        assert_eq!(header(&find("infinity", None, None, &[("INFINITY_API_KEY", " ")]).unwrap()), None);
    }

    #[test]
    fn the_key_is_never_shown() {
        let key = find("jina", Some(SECRET), None, &[]).unwrap();
        let header = key.header().unwrap().unwrap();
        assert!(!format!("{key:?} {header:?}").contains(SECRET));
        let broken = find("jina", Some("sk-top secret"), None, &[]).unwrap_err();
        assert!(!format!("{broken} {broken:?}").contains("top"), "{broken}");
        let said = format!("Incorrect API key: {SECRET}.");
        assert_eq!(key.hidden_in(said.as_bytes()).unwrap(), b"Incorrect API key: [the key].");
    }
}
