//! What a user writes to name a model on the hub.

use std::fmt;

use imbed_core::{Error, ErrorKind, Result};

/// The branch that is meant where no revision is named.
pub const DEFAULT_REVISION: &str = "main";

const LONGEST: usize = 96;

/// `org/name`, perhaps with the revision (a branch, a tag or a commit) that is meant: `org/name@v1.0`.
///
/// ```
/// use imbed_hub::ModelName;
///
/// let name = ModelName::parse("hf://openai/clip-vit-base-patch32@refs/pr/15")?;
/// assert_eq!(name.repo(), "openai/clip-vit-base-patch32");
/// assert_eq!(name.revision(), "refs/pr/15");
/// # Ok::<(), imbed_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelName {
    repo: String,
    revision: Option<String>,
}

impl ModelName {
    /// Reads `org/name`, `org/name@revision`, or either after `hf://`.
    pub fn parse(text: &str) -> Result<Self> {
        let plain = text.strip_prefix("hf://").unwrap_or(text);
        let (repo, revision) = match plain.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision)),
            None => (plain, None),
        };
        let name = Self::new(repo)?;
        match revision {
            Some(revision) => name.at(revision),
            None => Ok(name),
        }
    }

    /// The default branch of `repo`, which is `org/name`.
    pub fn new(repo: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(ErrorKind::UnknownModel, format!("'{repo}' is not the name of a model on the hub: {why}"))
                .hint("a name is org/name or org/name@revision, such as openai/clip-vit-base-patch32")
        };
        let Some((org, name)) = repo.split_once('/') else { return Err(wrong("it has no '/'")) };
        for part in [org, name] {
            if part.is_empty() {
                return Err(wrong("nothing stands on one side of '/'"));
            }
            if let Some(c) = part.chars().find(|c| !c.is_ascii_alphanumeric() && !"-_.".contains(*c)) {
                return Err(wrong(&format!("it has the character {c:?}")));
            }
            // The cache writes `/` as `--`, and a name must not climb out of it.
            if part.contains("--") || part.contains("..") || part.starts_with(['-', '.']) || part.ends_with(['-', '.'])
            {
                return Err(wrong("'-' and '.' cannot come first, last or twice"));
            }
        }
        if repo.len() > LONGEST {
            return Err(wrong("it is too long"));
        }
        Ok(Self { repo: repo.to_owned(), revision: None })
    }

    /// The same model at `revision`.
    pub fn at(self, revision: &str) -> Result<Self> {
        let safe = |c: char| c.is_ascii_graphic() && !"~^:?*[]\\\"<>|@{}".contains(c);
        let climbs = revision.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with('.'));
        if climbs || revision.contains("..") || revision.len() > 2 * LONGEST || !revision.chars().all(safe) {
            return Err(Error::new(ErrorKind::UnknownModel, format!("{}: '{revision}' is not a revision", self.repo))
                .hint("a revision is a branch, a tag or a commit, such as main, v1.0, refs/pr/3"));
        }
        Ok(Self { revision: Some(revision.to_owned()), ..self })
    }

    /// `org/name`.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// What stands before the `/`.
    pub(crate) fn org(&self) -> &str {
        self.repo.split_once('/').map_or("", |(org, _)| org)
    }

    /// What stands after it.
    pub(crate) fn short(&self) -> &str {
        self.repo.split_once('/').map_or("", |(_, name)| name)
    }

    /// The revision; [`DEFAULT_REVISION`] where none was named.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(DEFAULT_REVISION)
    }

    /// The revision, if one was named.
    pub fn named_revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repo)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

/// Whether `text` is written as a path is, so that nobody means a name on the hub by it.
pub fn looks_like_path(text: &str) -> bool {
    if text.starts_with("hf://") {
        return false;
    }
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    let rooted = ["/", "./", "../", "~", ".\\", "..\\"].iter().any(|start| text.starts_with(start));
    rooted || text == "." || text == ".." || text.ends_with('/') || name.contains('\\') || name.matches('/').count() > 1
}

/// Whether `revision` is a whole commit hash, which means the same files for ever.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_may_have_a_scheme_and_a_revision() {
        for (text, repo, revision) in [
            ("openai/clip-vit-base-patch32", "openai/clip-vit-base-patch32", "main"),
            ("hf://a/b", "a/b", "main"),
            ("a/b@v1.0", "a/b", "v1.0"),
            ("hf://a_1/b.2-c@refs/pr/15", "a_1/b.2-c", "refs/pr/15"),
        ] {
            let name = ModelName::parse(text).unwrap();
            assert_eq!((name.repo(), name.revision()), (repo, revision));
            assert_eq!(name.to_string(), text.strip_prefix("hf://").unwrap_or(text));
        }
    }

    #[test]
    fn what_could_climb_out_of_the_cache_is_refused() {
        for text in [
            "clip",
            "",
            "/",
            "a/",
            "/b",
            "a/b/c",
            "../b",
            "a/..",
            "a/b--c",
            "a b/c",
            "a/b\n",
            "ä/b",
            "a/b@",
            "a/b@../x",
            "a/b@/x",
            "a/b@x/",
            "a/b@x y",
            "a/b@.",
            "a/b@a/./b",
            "a/b@c@d",
        ] {
            let error = ModelName::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnknownModel, "{text}");
            assert!(error.hint_text().is_some(), "{text}");
        }
        assert!(ModelName::parse(&format!("a/{}", "b".repeat(200))).is_err());
    }

    #[test]
    fn paths_are_told_from_names() {
        for path in ["./clip", "../clip", "/models/clip", "~/clip", "models/vision/clip", "clip/", ".", "a\\b"] {
            assert!(looks_like_path(path), "{path}");
        }
        for name in ["org/name", "org/name@refs/pr/1", "hf://org/name", "imbed/tiny", "clip"] {
            assert!(!looks_like_path(name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_is_read_prints_as_what_it_was_read_from(text in "[a-z./@-]{0,12}") {
            if let Ok(name) = ModelName::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
