//! Reading a model's configuration.

use std::{fs::File, io::Read, path::Path};

use crate::{Error, ErrorKind, Result};

/// The index of a model of a thousand shards has less than a megabyte.
const MOST_BYTES: u64 = 64 << 20;

/// The text of a model's configuration file. One that is larger than any is, which no length of a file is believed about, is an
/// error of kind [`Limit`](ErrorKind::Limit).
pub fn read_text(path: &Path) -> Result<String> {
    let failed = |e| Error::io(path.display(), e);
    let file = File::open(path).map_err(failed)?;
    let mut text = String::new();
    // More is read than may be, so that it is seen.
    if file.take(MOST_BYTES + 1).read_to_string(&mut text).map_err(failed)? as u64 > MOST_BYTES {
        let what = format!("{}: a configuration of more than {} MiB", path.display(), MOST_BYTES >> 20);
        return Err(
            Error::new(ErrorKind::Limit, what).hint("no published model comes near this; do not trust the file")
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read_and_one_without_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert_eq!(read_text(&path).unwrap_err().kind(), ErrorKind::Io);
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(read_text(&path).unwrap(), "{}");
        // A hole: it takes no room on the disk.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let error = read_text(&path).unwrap_err();
        assert!(error.kind() == ErrorKind::Limit && error.message().contains("64 MiB"), "{error}");
    }
}
