//! The JPEG files that everything is measured on: no two alike, so that nobody can do one's work for another.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

/// Writes `count` files to `folder`, made anew: those of `from` in turn, each with a comment of its own.
pub(crate) fn repeat(from: &[PathBuf], count: usize, folder: &Path) -> Result<()> {
    let mut files = Vec::new();
    for path in from {
        find(path, &mut files)?;
    }
    files.sort();
    ensure!(!files.is_empty(), "--images: no .jpg or .jpeg file is there; give a folder that has some, or files");
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for (i, file) in files.iter().cycle().take(count).enumerate() {
        let bytes = fs::read(file).with_context(|| file.display().to_string())?;
        let named = with_comment(&bytes, &format!("imbed bench {i:06}"))
            .with_context(|| format!("{} is not a JPEG file, whatever its name says", file.display()))?;
        fs::write(folder.join(format!("{i:06}.jpg")), named)?;
    }
    Ok(())
}

/// JPEG files by name, of folders in folders too.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(|| path.display().to_string())? {
            let entry = entry?.path();
            if entry.is_dir() || is_jpeg(&entry) {
                find(&entry, files)?;
            }
        }
    } else if path.is_file() {
        files.push(path.to_owned());
    } else {
        bail!("--images: {} is not there", path.display());
    }
    Ok(())
}

fn is_jpeg(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("jpg") || e.eq_ignore_ascii_case("jpeg"))
}

/// The same picture in other bytes: a comment segment after the marker that starts the file.
fn with_comment(jpeg: &[u8], comment: &str) -> Option<Vec<u8>> {
    let rest = jpeg.strip_prefix(&[0xff, 0xd8])?;
    let length = u16::try_from(comment.len() + 2).ok()?;
    let mut out = vec![0xff, 0xd8, 0xff, 0xfe];
    out.extend(length.to_be_bytes());
    out.extend(comment.as_bytes());
    out.extend(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_files_differ_and_hold_the_picture() {
        let from = tempfile::tempdir().unwrap();
        fs::write(from.path().join("a.JPG"), [0xff, 0xd8, 1, 2, 3]).unwrap();
        fs::write(from.path().join("b.txt"), "no picture").unwrap();
        let to = from.path().join("to");
        repeat(&[from.path().to_owned()], 2, &to).unwrap();
        let [first, second] = ["000000.jpg", "000001.jpg"].map(|name| fs::read(to.join(name)).unwrap());
        assert_ne!(first, second);
        assert_eq!(first[..6], [0xff, 0xd8, 0xff, 0xfe, 0, 20]);
        assert!(first.ends_with(&[1, 2, 3]) && second.ends_with(&[1, 2, 3]));
    }

    #[test]
    fn what_is_not_a_jpeg_is_named() {
        let from = tempfile::tempdir().unwrap();
        let file = from.path().join("a.jpg");
        fs::write(&file, "no picture").unwrap();
        let error = repeat(std::slice::from_ref(&file), 1, &from.path().join("to")).unwrap_err();
        assert!(error.to_string().contains("a.jpg is not a JPEG"), "{error}");
        assert!(repeat(&[from.path().join("nothing")], 1, &from.path().join("to")).is_err());
    }
}
