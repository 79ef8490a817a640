//! Where the cache is, which hub is asked, and with which token: from the variables that Hugging Face's own tools read.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use imbed_core::{Error, ErrorKind, Result};

/// The hub where `HF_ENDPOINT` names no other.
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// How a [`Hub`](crate::Hub) finds its cache and its server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder with a `models--org--name` for each model: `HF_HUB_CACHE`, or `hub` in `HF_HOME`, or
    /// `~/.cache/huggingface/hub`.
    pub cache: PathBuf,
    /// The hub's address without a final `/`: `HF_ENDPOINT`, or [`DEFAULT_ENDPOINT`].
    pub endpoint: String,
    /// Who asks: `HF_TOKEN`, or the file that logging in wrote.
    pub token: Option<Token>,
    /// No request is made: `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// Tries of one request, or of one file without a byte gained, before it is given up.
    pub tries: u32,
    /// The wait after the first failed try; it doubles from try to try.
    pub wait: Duration,
}

impl Settings {
    /// What the environment says.
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(&|name| std::env::var_os(name), std::env::home_dir().as_deref())
    }

    fn from_lookup(variable: &dyn Fn(&str) -> Option<OsString>, home: Option<&Path>) -> Result<Self> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| {
            set(name).map(PathBuf::from).map(|path| match (path.strip_prefix("~"), home) {
                (Ok(rest), Some(home)) => home.join(rest),
                _ => path,
            })
        };
        let on = |name: &str| {
            set(name).is_some_and(|v| ["1", "on", "yes", "true"].iter().any(|yes| v.eq_ignore_ascii_case(yes)))
        };
        let hugging_face = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| home.map(|home| home.join(".cache").join("huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| hugging_face.as_ref().map(|folder| folder.join("hub")))
            .ok_or_else(|| {
                Error::new(ErrorKind::Config, "there is no home folder, so the models' cache has no place")
                    .hint("name one with the variable HF_HOME or HF_HUB_CACHE")
            })?;
        let endpoint = set("HF_ENDPOINT").map_or_else(|| DEFAULT_ENDPOINT.to_owned(), |e| e.to_string_lossy().into());
        let token_file = path("HF_TOKEN_PATH").or_else(|| hugging_face.map(|folder| folder.join("token")));
        let token = if on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            None
        } else {
            set("HF_TOKEN")
                .or_else(|| set("HUGGING_FACE_HUB_TOKEN"))
                .map(|token| token.to_string_lossy().into_owned())
                .or_else(|| token_file.and_then(|file| std::fs::read_to_string(file).ok()))
        };
        Ok(Self {
            cache,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: token.map(|text| Token::new(&text)).transpose()?.flatten(),
            offline: on("HF_HUB_OFFLINE") || on("TRANSFORMERS_OFFLINE"),
            tries: 5,
            wait: Duration::from_millis(500),
        })
    }
}

/// A secret that proves who asks. It cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token in `text`, or `None` if there is only space.
    pub fn new(text: &str) -> Result<Option<Self>> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::new(ErrorKind::Config, "the Hugging Face token has characters that no token has")
                .hint("look at HF_TOKEN, or at the file `token` in HF_HOME"));
        }
        Ok(Some(Self(text.to_owned())))
    }

    /// The value of the header `Authorization`.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Settings {
        let look = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        Settings::from_lookup(&look, Some(Path::new("/home/me"))).unwrap()
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        for (variables, cache) in [
            (&[][..], "/home/me/.cache/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")], "/home/me/hf/hub"),
            (&[("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old")], "/old"),
            (&[("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/c")], "/c"),
            (&[("HF_HUB_CACHE", "")], "/home/me/.cache/huggingface/hub"),
        ] {
            assert_eq!(with(variables).cache, PathBuf::from(cache), "{variables:?}");
        }
        assert_eq!(Settings::from_lookup(&|_| None, None).unwrap_err().kind(), ErrorKind::Config);
    }

    #[test]
    fn the_endpoint_has_no_final_slash_and_offline_has_several_spellings() {
        assert_eq!(with(&[]).endpoint, DEFAULT_ENDPOINT);
        assert_eq!(with(&[("HF_ENDPOINT", "https://mirror.example/")]).endpoint, "https://mirror.example");
        for yes in ["1", "true", "YES", "On"] {
            assert!(with(&[("HF_HUB_OFFLINE", yes)]).offline, "{yes}");
        }
        for no in ["0", "false", ""] {
            assert!(!with(&[("HF_HUB_OFFLINE", no)]).offline, "{no}");
        }
    }

    #[test]
    fn a_token_comes_from_the_variable_or_the_file_and_is_never_printed() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "hf_file\n").unwrap();
        let folder = home.path().to_str().unwrap();
        let header = |settings: &Settings| settings.token.as_ref().map(Token::header);
        assert_eq!(header(&with(&[("HF_HOME", folder)])).unwrap(), "Bearer hf_file");
        let both = with(&[("HF_HOME", folder), ("HF_TOKEN", " hf_variable ")]);
        assert_eq!(header(&both).unwrap(), "Bearer hf_variable");
        assert!(!format!("{both:?}").contains("hf_variable"));
        assert_eq!(header(&with(&[("HF_HOME", folder), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")])), None);
        let error = Token::new("hf_a\nX-Header: b").unwrap_err();
        assert!(!error.to_string().contains("hf_a"), "{error}");
    }
}
