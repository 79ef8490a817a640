//! ONNX Runtime, which the tests of its provider open: the shared libraries and the licence of the wheel on the Python index.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::wheel;

/// The version that the tests run with; the provider takes older and newer ones.
const VERSION: &str = "1.32.0";
/// The user's own library.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// Fetches it unless it is there, and says where it is.
pub(super) fn report(python: &Path) -> Result<()> {
    if let Some(own) = own_library() {
        println!("{VARIABLE} names {}: no ONNX Runtime is fetched", own.display());
        return Ok(());
    }
    let library = fetch(python)?;
    println!(
        "ONNX Runtime: the tests find it by themselves; for the program:\n  export {VARIABLE}={}",
        library.display()
    );
    Ok(())
}

/// Fetches it unless it is there or the user has one.
pub(super) fn ensure(python: &Path) -> Result<()> {
    if own_library().is_none() {
        fetch(python)?;
    }
    Ok(())
}

fn own_library() -> Option<PathBuf> {
    env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The library in the target folder, fetched first if it is missing or of another version.
fn fetch(python: &Path) -> Result<PathBuf> {
    let package = format!("onnxruntime=={VERSION}");
    let otherwise =
        format!("install {package} by hand and set {VARIABLE} to the library in its onnxruntime/capi folder");
    let folder = wheel::folder_of(python, "onnxruntime", VERSION, &[&package], &otherwise, |wheel, kept| {
        keep(&wheel.join("onnxruntime"), kept)
    })?;
    library_in(&folder).with_context(|| format!("{package} holds no shared library for this machine"))
}

/// Copies the shared libraries and the licence of an unpacked wheel.
fn keep(wheel: &Path, kept: &Path) -> Result<()> {
    for folder in [wheel.to_owned(), wheel.join("capi")] {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            if name == "LICENSE" || name == "ThirdPartyNotices.txt" || is_library(name) {
                fs::copy(&path, kept.join(name))?;
            }
        }
    }
    ensure!(library_in(kept).is_some(), "the wheel has no file like {}onnxruntime", env::consts::DLL_PREFIX);
    Ok(())
}

/// ONNX Runtime's own library in `folder`, which is not one of its execution providers'.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|n| is_library(n) && !n.contains("_providers_"))
    });
    found.sort_unstable();
    found.into_iter().next()
}

/// Whether a file is ONNX Runtime's or one of its execution providers', and not Python's binding to it.
fn is_library(name: &str) -> bool {
    let stem = format!("{}onnxruntime", env::consts::DLL_PREFIX);
    name.strip_prefix(&stem).is_some_and(|rest| {
        (rest.starts_with('.') || rest.starts_with("_providers_"))
            && rest.split('.').any(|part| part == env::consts::DLL_EXTENSION)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_libraries_are_kept_and_pythons_binding_is_not() {
        assert!(is_library("libonnxruntime.so.1.32.0"));
        assert!(is_library("libonnxruntime_providers_shared.so"));
        assert!(!is_library("onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so"));
        assert!(!is_library("onnxruntime_validation.py"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_library_is_found_beside_those_of_its_execution_providers() {
        let wheel = tempfile::tempdir().unwrap();
        fs::create_dir(wheel.path().join("capi")).unwrap();
        for name in ["LICENSE", "capi/libonnxruntime.so.1.32.0", "capi/libonnxruntime_providers_shared.so", "capi/x.py"]
        {
            fs::write(wheel.path().join(name), b"").unwrap();
        }
        let kept = tempfile::tempdir().unwrap();
        keep(wheel.path(), kept.path()).unwrap();
        assert_eq!(library_in(kept.path()).unwrap(), kept.path().join("libonnxruntime.so.1.32.0"));
        assert_eq!(fs::read_dir(kept.path()).unwrap().count(), 3);
    }
}
