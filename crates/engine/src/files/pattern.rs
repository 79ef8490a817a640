//! Patterns such as `'shots/**/*.jpg'`, for shells that do not expand them, or not that far, and for queries.

use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use imbed_core::{Error, ErrorKind, Result};

use super::walk;

/// Whether `input` has a character that patterns are made with.
pub fn is_pattern(input: &str) -> bool {
    input.contains(['*', '?', '[', '{'])
}

/// A pattern of paths. `*` and `?` stop at `/`, `**` goes through folders, and names with a leading dot are passed over below the
/// first such character.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
    /// The folder to look in.
    root: PathBuf,
    /// How many levels of folders below that can hold a match; `None` where there is no limit.
    depth: Option<usize>,
}

impl Pattern {
    /// Reads a pattern; an error if it is none.
    pub fn new(text: &str) -> Result<Self> {
        let matcher = GlobBuilder::new(text.strip_prefix("./").unwrap_or(text))
            .literal_separator(true)
            .build()
            .map_err(|e| Error::new(ErrorKind::BadInput, format!("'{text}' is not a pattern: {}", e.kind())))?
            .compile_matcher();
        let root = literal_root(text);
        let depth = depth_below(text, &root);
        Ok(Self { text: text.to_owned(), matcher, root, depth })
    }

    /// Whether it ends in an extension that is spelled out, perhaps as alternatives: `*.jpg`, `*.{jpg,png}`.
    ///
    /// Such a pattern means every file that it matches; one that leaves the extension open means images, as a folder does.
    pub fn names_extension(&self) -> bool {
        let last = self.text.rsplit('/').next().unwrap_or(&self.text);
        last.rsplit_once('.')
            .is_some_and(|(_, extension)| !extension.is_empty() && !extension.contains(['*', '?', '[']))
    }

    /// Whether a path is matched, wherever it is.
    pub fn is_match(&self, path: &str) -> bool {
        self.matcher.is_match(path)
    }

    /// The files that match, sorted within each folder, as they are found.
    pub fn files(&self) -> impl Iterator<Item = Result<PathBuf>> + Send + use<> {
        let matcher = self.matcher.clone();
        walk(&self.root, self.depth).filter(move |path| match path {
            Ok(path) => matcher.is_match(path.strip_prefix("./").unwrap_or(path)),
            Err(_) => true,
        })
    }

    /// What to say where no file matches.
    pub fn matches_nothing(&self) -> Error {
        Error::new(ErrorKind::BadInput, format!("'{}' matches no file", self.text))
            .hint("* and ? stop at a /, and ** goes through folders: 'shots/**/*.jpg'")
    }
}

/// The folder to look in: everything before the first component with a special character.
fn literal_root(pattern: &str) -> PathBuf {
    let literal: PathBuf =
        Path::new(pattern).components().take_while(|c| !is_pattern(&c.as_os_str().to_string_lossy())).collect();
    if literal.as_os_str().is_empty() { PathBuf::from(".") } else { literal }
}

fn depth_below(pattern: &str, root: &Path) -> Option<usize> {
    // Alternatives may contain separators of their own.
    if pattern.contains("**") || pattern.contains('{') {
        return None;
    }
    let levels = |path: &Path| path.components().filter(|c| *c != Component::CurDir).count();
    Some(levels(Path::new(pattern)).saturating_sub(levels(root)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_starts_below_the_literal_part() {
        assert_eq!(literal_root("shots/2024/*/x.jpg"), Path::new("shots/2024"));
        assert_eq!(literal_root("*.jpg"), Path::new("."));
        assert_eq!(literal_root("/data/**"), Path::new("/data"));
    }

    #[test]
    fn folders_that_cannot_match_are_not_walked() {
        let depth = |pattern: &str| depth_below(pattern, &literal_root(pattern));
        assert_eq!(depth("*.jpg"), Some(1));
        assert_eq!(depth("./a/*/b?.jpg"), Some(2));
        assert_eq!(depth("/data/*.jpg"), Some(1));
        assert_eq!(depth("a/**/*.jpg"), None);
        assert_eq!(depth("{a,b/c}.jpg"), None);
    }

    #[test]
    fn an_extension_is_named_or_left_open() {
        let names = |pattern: &str| Pattern::new(pattern).unwrap().names_extension();
        assert!(names("a/*.jpg") && names("**/*.{png,txt}"));
        assert!(!names("a/**") && !names("a.b/*") && !names("a/*.*"));
    }
}
