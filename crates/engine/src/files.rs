//! Which files a folder or a pattern means, for every front end alike.

mod images;
mod pattern;
mod read;

use std::path::{Path, PathBuf};

use imbed_core::{Error, ErrorKind, Result};
use walkdir::{DirEntry, WalkDir};

pub use images::images;
pub use pattern::{Pattern, is_pattern};
pub use read::read;

/// Extensions of the image formats that can be decoded, in lower case.
const EXTENSIONS: &[&str] = &[
    "bmp", "dib", "exr", "ff", "gif", "hdr", "ico", "jfif", "jpe", "jpeg", "jpg", "pam", "pbm", "pgm", "png", "pnm",
    "ppm", "qoi", "tga", "tif", "tiff", "webp",
];

/// Every file under `folder`, down to `depth` levels, sorted within each folder; links are followed, names with a leading dot
/// passed over.
pub fn walk(folder: &Path, depth: Option<usize>) -> impl Iterator<Item = Result<PathBuf>> + Send + use<> {
    // The folder itself may well be called `.` or `..`.
    let visible = |entry: &DirEntry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
    let here = folder == Path::new(".");
    WalkDir::new(folder)
        .follow_links(true)
        .max_depth(depth.unwrap_or(usize::MAX))
        .sort_by_file_name()
        .into_iter()
        .filter_entry(visible)
        .filter_map(move |entry| match entry {
            Ok(entry) if entry.file_type().is_file() => {
                let path = entry.into_path();
                Some(Ok(if here { path.strip_prefix(".").map(Path::to_path_buf).unwrap_or(path) } else { path }))
            }
            Ok(_) => None,
            // A link to a folder above it: everything there is seen already.
            Err(e) if e.loop_ancestor().is_some() => None,
            // A link to nowhere is a file that cannot be read, and becomes a row that says so.
            Err(e) if is_dangling(&e) => e.path().map(|path| Ok(path.to_owned())),
            Err(e) => Some(Err(Error::new(ErrorKind::Io, e.to_string()).source(e))),
        })
}

fn is_dangling(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound)
}

/// `path` if its extension is one of an image, or else the reason why it is passed over.
pub fn image_path(path: &Path) -> Result<&str, String> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match extension {
        None => Err("without extension".to_owned()),
        Some(e) if !EXTENSIONS.contains(&e.as_str()) => Err(format!(".{e}")),
        Some(_) => path.to_str().ok_or_else(|| "with a name that is not UTF-8".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_is_kept_and_a_loop_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("lost.png")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        let found: Vec<PathBuf> = walk(dir.path(), None).map(Result::unwrap).collect();
        assert_eq!(found, [dir.path().join("lost.png")]);
    }

    #[test]
    fn files_that_are_no_images_say_why() {
        assert_eq!(image_path(Path::new("a/b.JPG")), Ok("a/b.JPG"));
        assert_eq!(image_path(Path::new("a.txt")), Err(".txt".to_owned()));
        assert_eq!(image_path(Path::new("README")), Err("without extension".to_owned()));
    }
}
