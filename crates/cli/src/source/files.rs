//! Folders of image files.

use std::path::Path;

use imbed::{
    core::{Error, ErrorKind, Result},
    engine::files::{image_path, walk},
};

use super::Skipped;

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

    #[test]
    fn a_folder_without_images_says_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("part-0.parquet"), b"").unwrap();
        let error = in_folder(dir.path(), &mut Skipped::new()).err().unwrap();
        assert!(error.hint_text().unwrap().contains("1 .parquet"), "{error}");
    }
}
