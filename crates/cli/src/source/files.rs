//! Folders of image files.

use std::path::Path;

use imbed::core::{Error, ErrorKind, Result};
use walkdir::{DirEntry, WalkDir};

use super::Skipped;

/// Extensions of the image formats that can be decoded, in lower case.
const EXTENSIONS: &[&str] = &[
    "bmp", "dib", "exr", "ff", "gif", "hdr", "ico", "jfif", "jpe", "jpeg", "jpg", "pam", "pbm", "pgm", "png", "pnm",
    "ppm", "qoi", "tga", "tif", "tiff", "webp",
];

/// Paths of image files, as the user would reach them.
pub(super) struct Paths {
    pub(super) paths: Box<dyn Iterator<Item = Result<String>> + Send>,
    /// How many, where that is known.
    pub(super) count: Option<u64>,
}

impl Paths {
    pub(super) fn of(paths: Vec<String>) -> Self {
        Self { count: Some(paths.len() as u64), paths: Box::new(paths.into_iter().map(Ok)) }
    }
}

/// The image files under `folder`, sorted, without hidden ones. Others are counted in `skipped`.
pub(super) fn in_folder(folder: &Path, skipped: &mut Skipped) -> Result<Paths> {
    let mut images = Vec::new();
    let mut passed_over = Skipped::new();
    for entry in walk(folder, None) {
        let path = entry?;
        match image_path(&path) {
            Ok(path) => images.push(path.to_owned()),
            Err(reason) => *passed_over.entry(reason).or_default() += 1,
        }
    }
    if images.is_empty() {
        let error = Error::new(ErrorKind::BadInput, format!("{}: there is no image in this folder", folder.display()));
        return Err(if passed_over.is_empty() {
            error
        } else {
            let list: Vec<String> = passed_over.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
            error.hint(format!(
                "it holds other files ({}); name tables by a pattern such as '{}/**/*.parquet', other files one by one",
                list.join(", "),
                folder.display()
            ))
        });
    }
    for (reason, n) in passed_over {
        *skipped.entry(reason).or_default() += n;
    }
    Ok(Paths::of(images))
}

/// Every file under `folder`, down to `depth` levels, sorted within each folder; links are followed, names with a leading dot
/// passed over.
pub(super) fn walk(folder: &Path, depth: Option<usize>) -> impl Iterator<Item = Result<std::path::PathBuf>> {
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
pub(super) fn image_path(path: &Path) -> Result<&str, String> {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    match extension {
        None => Err("without extension".to_owned()),
        Some(e) if !EXTENSIONS.contains(&e.as_str()) => Err(format!(".{e}")),
        Some(_) => path.to_str().ok_or_else(|| "with a name that is not UTF-8".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn paths(paths: Paths) -> Vec<String> {
        paths.paths.map(Result::unwrap).collect()
    }

    #[test]
    fn folders_are_walked_in_order_without_hidden_and_other_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("b/.hidden")).unwrap();
        for name in ["z.png", "a.JPG", "notes.txt", "README", "b/c.webp", ".secret.png", "b/.hidden/x.png"] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        let mut skipped = Skipped::new();
        let found = paths(in_folder(dir.path(), &mut skipped).unwrap());
        let names: Vec<&str> = found.iter().map(|p| p.strip_prefix(dir.path().to_str().unwrap()).unwrap()).collect();
        assert_eq!(names, ["/a.JPG", "/b/c.webp", "/z.png"]);
        assert_eq!(skipped, Skipped::from([(".txt".to_owned(), 1), ("without extension".to_owned(), 1)]));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_is_kept_and_a_loop_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("lost.png")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        let found = paths(in_folder(dir.path(), &mut Skipped::new()).unwrap());
        assert_eq!(found, [dir.path().join("lost.png").to_str().unwrap()]);
    }

    #[test]
    fn a_folder_without_images_says_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("part-0.parquet"), b"").unwrap();
        let error = in_folder(dir.path(), &mut Skipped::new()).err().unwrap();
        assert!(error.hint_text().unwrap().contains("1 .parquet"), "{error}");
    }
}
