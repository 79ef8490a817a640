//! Patterns such as `'shots/**/*.jpg'`, for shells that do not expand them, or not that far.

use std::path::Path;

use imbed::{
    core::Result,
    engine::files::{Pattern, image_path},
};

use super::{Skipped, Table};

/// The files that match, sorted.
///
/// A pattern that ends in an extension means every file that it matches. One that leaves it open (`shots/**`) means images and
/// tables, as a folder does; other files are counted in `skipped`. `*` and `?` stop at `/`, and names with a leading dot are
/// passed over below the first such character.
pub(super) fn expand(pattern: &str, skipped: &mut Skipped) -> Result<Vec<String>> {
    let pattern = Pattern::new(pattern)?;
    let takes_all = pattern.names_extension();
    let mut found = Vec::new();
    for path in pattern.files() {
        let path = path?;
        let taken = match path.to_str() {
            Some(path) if takes_all || Table::is_table(Path::new(path)) => Ok(path),
            _ => image_path(&path),
        };
        match taken {
            Ok(path) => found.push(path.to_owned()),
            Err(reason) => *skipped.entry(reason).or_default() += 1,
        }
    }
    if found.is_empty() {
        return Err(pattern.matches_nothing());
    }
    Ok(found)
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
}
