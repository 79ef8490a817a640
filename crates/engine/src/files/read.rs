//! Reading one file.

use std::{fs::File, io::Read};

use imbed_core::{Error, ErrorKind, Result, address, image::Limits};

/// Reads a file whole, but never more than the limit, whatever its length claims to be.
pub fn read(path: &str, limits: &Limits) -> Result<Vec<u8>> {
    let failed = |e| Error::new(ErrorKind::Io, format!("cannot be read: {e}")).source(e);
    let file = File::open(path).map_err(|e| failed_open(path, &e))?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Io, "is not a regular file"));
    }
    limits.check_encoded(metadata.len())?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    file.take(limits.max_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    limits.check_encoded(bytes.len() as u64)?;
    Ok(bytes)
}

fn failed_open(path: &str, error: &std::io::Error) -> Error {
    let failed = Error::new(ErrorKind::Io, format!("cannot be opened: {error}"));
    if address::is_web(path) {
        return failed.hint("addresses are not fetched unless that is allowed: `imbed embed --allow-urls`");
    }
    if path.contains("://") {
        return failed
            .hint("only http and https addresses can be fetched; `imbed sql` reads buckets by images('s3://…')");
    }
    failed
}
