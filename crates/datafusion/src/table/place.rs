//! Where images are looked for: on this machine, or in a store.

use std::{fmt, sync::Arc};

use datafusion::execution::object_store::ObjectStoreUrl;
use imbed_core::{Error, ErrorKind, Result};
use imbed_engine::files::{self, Pattern, image_path, is_pattern};
use object_store::path::Path;

use crate::stores::{Service, is_url};

/// A folder, a pattern or one file.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Local(String),
    Remote(Arc<Remote>),
}

impl Place {
    /// An error if there is no such place on this machine. What a store holds is not asked yet.
    pub(super) fn new(text: &str) -> Result<Self> {
        let place = Self::elsewhere(text)?;
        if let Self::Local(text) = &place {
            drop(files::images(text)?);
        }
        Ok(place)
    }

    /// A place that another process means, which may see files that this one does not.
    pub(crate) fn elsewhere(text: &str) -> Result<Self> {
        if is_url(text) {
            return Ok(Self::Remote(Arc::new(Remote::new(text)?)));
        }
        Ok(Self::Local(text.strip_prefix("file://").unwrap_or(text).to_owned()))
    }

    /// The place as it is reached from the folder `base`.
    pub(super) fn from(&self, base: Option<&str>) -> Self {
        match self {
            Self::Local(text) => Self::Local(absolute(base, text)),
            Self::Remote(_) => self.clone(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local(text) => text,
            Self::Remote(remote) => remote.text(),
        })
    }
}

/// `path` from `base`, unless it is absolute.
pub(crate) fn absolute(base: Option<&str>, path: &str) -> String {
    match base {
        Some(base) => std::path::Path::new(base).join(path).to_string_lossy().into_owned(),
        None => path.to_owned(),
    }
}

/// A place in a store. Keys are taken as they stand there, except that a web server's are encoded as its addresses are.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    text: String,
    pub(super) store: ObjectStoreUrl,
    pub(super) service: Service,
    bucket: String,
    /// What comes before a key: `s3://bucket/`.
    root: String,
    pub(super) meaning: Meaning,
}

/// What a place means.
#[derive(Debug, Clone)]
pub(super) enum Meaning {
    /// The images below this prefix, which ends in `/` or is empty.
    Folder(String),
    /// An object, or else a folder.
    Either(Path),
    /// One object of a server whose objects cannot be listed by everybody.
    Object(Path),
    Pattern {
        /// What every key that matches begins with.
        literal: String,
        pattern: Pattern,
    },
}

impl Remote {
    fn new(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::new(ErrorKind::BadInput, format!("{text}: {why}"));
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("the address has no scheme"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let service = Service::of(&scheme.to_ascii_lowercase());
        if service == Service::Http {
            if let Some((before, _)) = text.split_once('?') {
                // What follows may be a signature.
                return Err(Error::new(
                    ErrorKind::BadInput,
                    format!("{before}?…: an address with a query cannot be read"),
                )
                .hint("download the file, or name the bucket that it is in: s3://, gs:// or az://"));
            }
            if bucket.contains('@') {
                return Err(Error::new(ErrorKind::BadInput, "credentials are not taken from an address")
                    .hint("leave out what stands before the @; requests to web servers carry no credentials"));
            }
        }
        let store = ObjectStoreUrl::parse(format!("{scheme}://{bucket}")).ok().filter(|_| !bucket.is_empty());
        let store = store
            .ok_or_else(|| bad("this is not the address of a bucket").hint(format!("{scheme}://BUCKET/FOLDER/**")))?;
        let path = |key: &str| {
            let path = if service == Service::Http { Path::from_url_path(key) } else { Path::parse(key) };
            path.map_err(|e| bad(&format!("no object has such a name: {e}")))
        };
        let meaning = if is_pattern(key) {
            let special = key.find(['*', '?', '[', '{']).unwrap_or(key.len());
            Meaning::Pattern { literal: key[..special].to_owned(), pattern: Pattern::new(key)? }
        } else if key.is_empty() || key.ends_with('/') {
            path(key)?;
            Meaning::Folder(key.to_owned())
        } else if service == Service::Http {
            Meaning::Object(path(key)?)
        } else {
            Meaning::Either(path(key)?)
        };
        let root = format!("{scheme}://{bucket}/");
        Ok(Self { text: text.to_owned(), store, service, bucket: bucket.to_owned(), root, meaning })
    }

    /// As the user wrote it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The address of an object.
    pub(super) fn address(&self, path: &Path) -> String {
        if self.service == Service::Http
            && let Ok(mut url) = url::Url::parse(&self.root)
        {
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.pop_if_empty().extend(path.as_ref().split('/'));
            }
            return url.into();
        }
        format!("{}{path}", self.root)
    }

    /// The object at an address that [`address`](Self::address) gave.
    pub(super) fn path(&self, address: &str) -> Result<Path> {
        let key = address.strip_prefix(&self.root).unwrap_or(address);
        let path = if self.service == Service::Http { Path::from_url_path(key) } else { Path::parse(key) };
        path.map_err(|e| Error::new(ErrorKind::BadInput, format!("{address}: no object has such a name: {e}")))
    }

    /// Whether images are listed by the bytes of their keys.
    pub(super) fn is_sorted(&self) -> bool {
        self.service.lists_in_order(&self.bucket)
    }

    /// Whether the object `key` below `literal` is one of the images that are meant.
    pub(super) fn means(&self, literal: &str, key: &str) -> bool {
        let Some(below) = key.strip_prefix(folder_of(literal)) else { return false };
        // As local files: names with a leading dot are passed over below the literal part.
        if below.split('/').any(|name| name.starts_with('.')) {
            return false;
        }
        match &self.meaning {
            Meaning::Pattern { pattern, .. } => {
                pattern.is_match(key) && (pattern.names_extension() || image_path(key.as_ref()).is_ok())
            }
            _ => image_path(key.as_ref()).is_ok(),
        }
    }

    /// What to say where there is no image.
    pub(super) fn nothing(&self) -> Error {
        match &self.meaning {
            Meaning::Pattern { .. } => Error::new(ErrorKind::BadInput, format!("'{}' matches no object", self.text))
                .hint(format!("* and ? stop at a /, and ** goes through folders: '{}**/*.jpg'", self.root)),
            _ => Error::new(ErrorKind::BadInput, format!("{}: there is no image here", self.text)).hint(
                "a name is an object or a folder of images; a pattern that spells out an extension takes any object",
            ),
        }
    }

    /// `error`, which a listing of this place gave.
    pub(super) fn cannot_list(&self, error: Error) -> Error {
        if self.service == Service::Http {
            let why = error.message().to_owned();
            return Error::new(ErrorKind::Unsupported, format!("{why} (a web server is asked for its list by WebDAV)"))
                .hint(
                    "name one file; most web servers list nothing, and a bucket can be read by s3://, gs:// or az://",
                );
        }
        error
    }
}

/// The folder that `literal` begins in: all before its last `/`, with it.
pub(super) fn folder_of(literal: &str) -> &str {
    &literal[..literal.rfind('/').map_or(0, |slash| slash + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(text: &str) -> Remote {
        Remote::new(text).unwrap()
    }

    #[test]
    fn an_address_means_an_object_a_folder_or_a_pattern() {
        assert!(matches!(remote("s3://b").meaning, Meaning::Folder(prefix) if prefix.is_empty()));
        assert!(matches!(remote("s3://b/a/").meaning, Meaning::Folder(prefix) if prefix == "a/"));
        assert!(matches!(remote("gs://b/a/x.jpg").meaning, Meaning::Either(path) if path.as_ref() == "a/x.jpg"));
        assert!(matches!(remote("https://h/a%20b.jpg").meaning, Meaning::Object(path) if path.as_ref() == "a b.jpg"));
        let pattern = remote("s3://b/a/2024-*/x?.jpg");
        assert!(matches!(pattern.meaning, Meaning::Pattern { literal, .. } if literal == "a/2024-"));
        assert_eq!(remote("s3://b/x").store.as_str(), "s3://b/");
        for wrong in ["s3:///x", "s3://b/a//x.jpg", "s3://bad host/x"] {
            assert_eq!(Remote::new(wrong).unwrap_err().kind(), ErrorKind::BadInput, "{wrong}");
        }
    }

    #[test]
    fn addresses_that_may_hold_secrets_are_refused_without_being_repeated() {
        for secret in ["https://h/x.jpg?X-Amz-Signature=canary", "https://me:canary@h/x.jpg"] {
            let error = Remote::new(secret).unwrap_err();
            assert!(!error.to_string().contains("canary") && error.hint_text().is_some(), "{error}");
        }
    }

    #[test]
    fn addresses_lead_back_to_their_objects() {
        for (text, key) in [("s3://b/**", "a b/ü%20#.png"), ("https://h/x", "a b/ü%20#?.png")] {
            let (place, path) = (remote(text), Path::parse(key).unwrap());
            assert_eq!(place.path(&place.address(&path)).unwrap(), path, "{}", place.address(&path));
        }
        assert_eq!(remote("https://h/x").address(&Path::parse("a b.png").unwrap()), "https://h/a%20b.png");
    }

    #[test]
    fn objects_are_chosen_as_local_files_are() {
        let chosen = |text: &str, keys: &[&str]| -> Vec<String> {
            let place = remote(text);
            let literal = match &place.meaning {
                Meaning::Folder(prefix) => prefix.clone(),
                Meaning::Pattern { literal, .. } => literal.clone(),
                _ => String::new(),
            };
            keys.iter().filter(|key| place.means(&literal, key)).map(|key| (*key).to_owned()).collect()
        };
        let keys = ["a/x.jpg", "a/y.txt", "a/.z.jpg", "a/.b/x.jpg", "a/b/c.PNG", "b/x.jpg", "ab.jpg", "a/none"];
        assert_eq!(chosen("s3://b", &keys), ["a/x.jpg", "a/b/c.PNG", "b/x.jpg", "ab.jpg"]);
        assert_eq!(chosen("s3://b/a/", &keys), ["a/x.jpg", "a/b/c.PNG"]);
        assert_eq!(chosen("s3://b/a/*", &keys), ["a/x.jpg"]);
        assert_eq!(chosen("s3://b/a/*.txt", &keys), ["a/y.txt"]);
        assert_eq!(chosen("s3://b/a**", &keys), ["ab.jpg"]);
        assert_eq!(chosen("s3://b/a/**", &keys), ["a/x.jpg", "a/b/c.PNG"]);
        assert_eq!(chosen("s3://b/a/.b/*", &keys), ["a/.b/x.jpg"]);
    }
}
