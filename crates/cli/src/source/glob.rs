//! Patterns such as `'shots/**/*.jpg'`, for shells that do not expand them, or not that far.

use std::path::{Component, Path, PathBuf};

use globset::GlobBuilder;
use imbed::core::{Error, ErrorKind, Result};

use super::{Skipped, Table, files};

/// Whether `input` has a character that patterns are made with.
pub(super) fn is_pattern(input: &str) -> bool {
    input.contains(['*', '?', '[', '{'])
}

/// The files that match, sorted.
///
/// A pattern that ends in an extension means every file that it matches. One that leaves it open (`shots/**`) means images and
/// tables, as a folder does; other files are counted in `skipped`. `*` and `?` stop at `/`, and names with a leading dot are
/// passed over below the first such character.
pub(super) fn expand(pattern: &str, skipped: &mut Skipped) -> Result<Vec<String>> {
    let matcher = GlobBuilder::new(pattern.strip_prefix("./").unwrap_or(pattern))
        .literal_separator(true)
        .build()
        .map_err(|e| Error::new(ErrorKind::BadInput, format!("'{pattern}' is not a pattern: {}", e.kind())))?
        .compile_matcher();
    let root = literal_root(pattern);
    let takes_all = names_extension(pattern);
    let mut found = Vec::new();
    for path in files::walk(&root, depth_below(pattern, &root)) {
        let path = path?;
        if !matcher.is_match(path.strip_prefix("./").unwrap_or(&path)) {
            continue;
        }
        let taken = match path.to_str() {
            Some(path) if takes_all || Table::is_table(Path::new(path)) => Ok(path),
            _ => files::image_path(&path),
        };
        match taken {
            Ok(path) => found.push(path.to_owned()),
            Err(reason) => *skipped.entry(reason).or_default() += 1,
        }
    }
    if found.is_empty() {
        return Err(Error::new(ErrorKind::BadInput, format!("'{pattern}' matches no file"))
            .hint("* and ? stop at a /, and ** goes through folders: 'shots/**/*.jpg'"));
    }
    Ok(found)
}

/// The folder to look in: everything before the first component with a special character.
fn literal_root(pattern: &str) -> PathBuf {
    let literal: PathBuf =
        Path::new(pattern).components().take_while(|c| !is_pattern(&c.as_os_str().to_string_lossy())).collect();
    if literal.as_os_str().is_empty() { PathBuf::from(".") } else { literal }
}

/// How many levels of folders below `root` can hold a match; `None` where there is no limit.
fn depth_below(pattern: &str, root: &Path) -> Option<usize> {
    // Alternatives may contain separators of their own.
    if pattern.contains("**") || pattern.contains('{') {
        return None;
    }
    let levels = |path: &Path| path.components().filter(|c| *c != Component::CurDir).count();
    Some(levels(Path::new(pattern)).saturating_sub(levels(root)))
}

/// Whether the pattern ends in an extension that is spelled out, perhaps as alternatives: `*.jpg`, `*.{jpg,png}`.
fn names_extension(pattern: &str) -> bool {
    let last = pattern.rsplit('/').next().unwrap_or(pattern);
    last.rsplit_once('.').is_some_and(|(_, extension)| !extension.is_empty() && !extension.contains(['*', '?', '[']))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn stars_stop_at_separators_and_double_stars_do_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for name in ["1.jpg", "a/2.jpg", "a/b/3.jpg", "a/b/4.png", "a/b/5.txt"] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        let root = dir.path().to_str().unwrap();
        let matches = |pattern: &str| -> Vec<String> {
            let found = expand(&format!("{root}/{pattern}"), &mut Skipped::new()).unwrap_or_default();
            found.iter().map(|p| p[root.len() + 1..].to_owned()).collect()
        };
        assert_eq!(matches("*.jpg"), ["1.jpg"]);
        assert_eq!(matches("**/*.jpg"), ["1.jpg", "a/2.jpg", "a/b/3.jpg"]);
        assert_eq!(matches("a/?.jpg"), ["a/2.jpg"]);
        assert_eq!(matches("**/*.{png,txt}"), ["a/b/4.png", "a/b/5.txt"]);
        assert_eq!(matches("a/**"), ["a/2.jpg", "a/b/3.jpg", "a/b/4.png"]);
        assert!(matches("*.gif").is_empty());
    }

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
}
