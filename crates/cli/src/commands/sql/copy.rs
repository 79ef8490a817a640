//! `COPY … TO` writes beside its target and moves there once it is whole.
//!
//! DataFusion ends a file as if all were well when the query behind it fails, and leaves it.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use datafusion::logical_expr::LogicalPlan;
use imbed::core::{Error, ErrorKind, Result};
use tempfile::TempDir;

/// The folders in which files are written. Dropping it removes them with what is not finished, so it must outlive all who write.
#[derive(Debug, Default)]
pub(super) struct Staging(Mutex<Vec<TempDir>>);

/// Files on their way to `target`.
#[derive(Debug)]
pub(super) struct Staged {
    written: PathBuf,
    target: PathBuf,
    /// Files are put into the folder `target`.
    many: bool,
}

impl Staging {
    /// Lets a plan that copies to this machine write into a folder of its own, from which [`Staged::commit`] moves its files.
    ///
    /// On a `cluster`, a folder is written in parts that are whole or not there, and stays the plan's target.
    pub(super) fn redirect(&self, plan: &mut LogicalPlan, cluster: bool) -> Result<Option<Staged>> {
        let LogicalPlan::Copy(copy) = plan else { return Ok(None) };
        if copy.output_url.contains("://") {
            return Ok(None);
        }
        if cluster {
            // Executors have working folders of their own.
            let end = if copy.output_url.ends_with('/') { "/" } else { "" };
            let target = std::path::absolute(&copy.output_url).map_err(|e| Error::io(&copy.output_url, e))?;
            copy.output_url = format!("{}{end}", target.display().to_string().trim_end_matches('/'));
        }
        let target = PathBuf::from(&copy.output_url);
        let many = copy.output_url.ends_with('/') || !copy.partition_by.is_empty() || target.extension().is_none();
        if cluster && many {
            copy.output_url = format!("{}/", copy.output_url.trim_end_matches('/'));
            return Ok(None);
        }
        let parent = target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !parent.is_dir() {
            return Err(Error::new(
                ErrorKind::BadInput,
                format!("{}: the output's folder does not exist", target.display()),
            )
            .hint(format!("make it first: mkdir -p {}", parent.display())));
        }
        if !many && target.is_dir() {
            return Err(Error::new(ErrorKind::BadInput, format!("{}: the output is a folder", target.display()))
                .hint("a / behind the name writes files into it"));
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let io = |e| Error::io(parent.display(), e);
        let dir =
            tempfile::Builder::new().prefix(&format!(".{name}.")).suffix(".partial").tempdir_in(parent).map_err(io)?;
        let written = if many { dir.path().to_owned() } else { dir.path().join(&name) };
        let end = if many { "/" } else { "" };
        copy.output_url = format!("{}{end}", written.display());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(dir);
        Ok(Some(Staged { written, target, many }))
    }
}

impl Staged {
    /// Moves what was written to where it belongs.
    pub(super) fn commit(&self) -> Result<()> {
        if self.many { merge(&self.written, &self.target) } else { rename(&self.written, &self.target) }
    }
}

/// Moves the files in `from`, and in folders below it, to the same places in `to`.
fn merge(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|e| Error::io(to.display(), e))?;
    for entry in fs::read_dir(from).map_err(|e| Error::io(from.display(), e))? {
        let from = entry.map_err(|e| Error::io(from.display(), e))?.path();
        let to = to.join(from.file_name().unwrap_or_default());
        if from.is_dir() { merge(&from, &to)? } else { rename(&from, &to)? }
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::io(to.display(), e))
}
