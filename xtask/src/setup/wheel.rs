//! Fetching a wheel, and putting what is kept of it into its place.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::step::{run, target_dir};

/// The target folder's `name`, made by `keep` from the unpacked `packages` unless it is there from the same `version`.
///
/// `keep` is given the folder of the unpacked wheels and the folder to fill. `otherwise` says what a user can do by hand.
pub(super) fn folder_of(
    python: &Path,
    name: &str,
    version: &str,
    packages: &[&str],
    otherwise: &str,
    keep: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<PathBuf> {
    let folder = target_dir().join(name);
    if fs::read_to_string(folder.join("VERSION")).is_ok_and(|there| there == version) {
        return Ok(folder);
    }
    println!("fetching {} (once) …", packages.join(", "));
    fs::create_dir_all(target_dir())?;
    // Beside its place, so that it is moved there in one step and never found half there.
    let staged = tempfile::tempdir_in(target_dir())?;
    let (wheel, kept) = (staged.path().join("wheel"), staged.path().join("kept"));
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action", "ignore"])
        .args(["--no-deps", "--no-compile", "--only-binary", ":all:", "--target"])
        .arg(&wheel)
        .args(packages);
    run(&mut pip).with_context(|| otherwise.to_owned())?;
    fs::create_dir(&kept)?;
    keep(&wheel, &kept)?;
    fs::write(kept.join("VERSION"), version)?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(&kept, &folder)?;
    Ok(folder)
}
