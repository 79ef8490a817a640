//! The images that one input means.

use std::path::Path;

use imbed_core::{Error, ErrorKind, Result};

use super::{Pattern, image_path, is_pattern, walk};

/// The paths of the images that `input` means, as the user would reach them: those in a folder and below, those that match a
/// pattern, or one file whatever its name.
///
/// They come as they are found, so that the first can be read before a large folder has been seen. Where there is none, the one
/// item is an error that says so.
pub fn images(input: &str) -> Result<Box<dyn Iterator<Item = Result<String>> + Send>> {
    let path = Path::new(input);
    if path.is_dir() {
        let nothing = Error::new(ErrorKind::BadInput, format!("{input}: there is no image in this folder"));
        return Ok(or_error(walk(path, None).filter_map(only_images), nothing));
    }
    if path.exists() {
        return Ok(Box::new(std::iter::once(Ok(input.to_owned()))));
    }
    if !is_pattern(input) {
        return Err(Error::new(ErrorKind::BadInput, format!("{input}: there is no such file or folder"))
            .hint("name a folder, a pattern such as 'shots/**/*.jpg', or an image file"));
    }
    let pattern = Pattern::new(input)?;
    let nothing = pattern.matches_nothing();
    if pattern.names_extension() {
        Ok(or_error(pattern.files().map(|path| path.and_then(|path| text(&path))), nothing))
    } else {
        Ok(or_error(pattern.files().filter_map(only_images), nothing))
    }
}

fn only_images(path: Result<std::path::PathBuf>) -> Option<Result<String>> {
    match path {
        Ok(path) => image_path(&path).ok().map(|path| Ok(path.to_owned())),
        Err(error) => Some(Err(error)),
    }
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Error::new(ErrorKind::BadInput, format!("{}: the name is not UTF-8", path.display())).hint("rename the file")
    })
}

/// `paths`, or `nothing` if there is none.
fn or_error(
    mut paths: impl Iterator<Item = Result<String>> + Send + 'static,
    nothing: Error,
) -> Box<dyn Iterator<Item = Result<String>> + Send> {
    let mut nothing = Some(nothing);
    Box::new(std::iter::from_fn(move || {
        let next = paths.next();
        let missing = nothing.take();
        next.or_else(|| missing.map(Err))
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn folders_patterns_and_files_give_their_images() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/.hidden")).unwrap();
        for name in ["z.png", "a.JPG", "notes.txt", "b/c.webp", ".secret.png", "b/.hidden/x.png"] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        let root = dir.path().to_str().unwrap();
        let found = |input: &str| -> Vec<String> {
            let paths = images(&format!("{root}{input}")).unwrap();
            paths.map(|path| path.map_or_else(|e| e.message().to_owned(), |p| p[root.len()..].to_owned())).collect()
        };
        assert_eq!(found(""), ["/a.JPG", "/b/c.webp", "/z.png"]);
        assert_eq!(found("/**"), ["/a.JPG", "/b/c.webp", "/z.png"]);
        assert_eq!(found("/*.txt"), ["/notes.txt"]);
        assert_eq!(found("/notes.txt"), ["/notes.txt"]);
        assert!(found("/*.gif")[0].ends_with("matches no file"));
        fs::remove_file(dir.path().join("b/c.webp")).unwrap();
        assert!(found("/b")[0].ends_with("there is no image in this folder"));
        assert_eq!(images(&format!("{root}/nowhere")).err().unwrap().kind(), ErrorKind::BadInput);
    }
}
