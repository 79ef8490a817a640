//! libtorch, which the provider `torch` is built and linked with.
//!
//! The Linux wheel of the Python index is the build with CUDA. To compile, link and run on the processor only its headers, `libtorch_cpu` and
//! `libc10` are needed, and from CUDA the two small libraries that `libtorch_cpu` itself asks for. The folders keep the wheels'
//! layout, since the libraries look for each other by it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::wheel;

/// The version that the project's `tch` is for.
const VERSION: &str = "2.11.0";
const PACKAGES: [&str; 3] = ["torch==2.11.0", "nvidia-cuda-runtime==13.0.*", "nvidia-cuda-cupti==13.0.*"];
/// The user's own: a folder with `include` and `lib`.
const FOLDER: &str = "LIBTORCH";
/// The user's own: the `PyTorch` of the Python on the path.
const PYTORCH: &str = "LIBTORCH_USE_PYTORCH";

/// The libraries that are kept of `torch/lib`. Without those of CUDA, which want a dozen others of CUDA's.
const LIBRARIES: [&str; 4] = ["libc10.so", "libtorch.so", "libtorch_cpu.so", "libgomp.so.1"];
/// Those of `nvidia/cu13/lib` that `libtorch_cpu.so` asks for.
const FROM_CUDA: [&str; 2] = ["libcudart.so.13", "libcupti.so.13"];

/// What a build is told.
#[derive(Debug)]
pub(crate) enum Libtorch {
    /// The environment says it already.
    Own,
    /// The folder for `LIBTORCH`.
    Fetched(PathBuf),
    /// There is none for this machine on the index.
    Missing,
}

impl Libtorch {
    /// Tells a call of Cargo over the workspace. Where there is none, it leaves out what needs one.
    pub(crate) fn tell(&self, cargo: &mut Command) {
        match self {
            Self::Own => cargo,
            Self::Fetched(folder) => cargo.env(FOLDER, folder),
            Self::Missing => cargo.args(["--exclude", "imbed-provider-torch"]),
        };
    }
}

/// Fetches it unless it is there, and says where it is.
pub(super) fn report(python: &Path) -> Result<()> {
    match ensure(python)? {
        Libtorch::Own => println!("{FOLDER} or {PYTORCH} is set: no libtorch is fetched"),
        Libtorch::Missing => println!(
            "libtorch is fetched on Linux and x86-64 only, and the provider torch is left out of the checks; to have it, install \
             torch {VERSION} and set {PYTORCH}=1, or set {FOLDER}"
        ),
        Libtorch::Fetched(folder) => println!(
            "libtorch: `cargo xtask test` finds it by itself; to build the provider torch:\n  export {FOLDER}={}\n\
             tests and the program find its libraries by the path that is linked into them; elsewhere:\n  export \
             LD_LIBRARY_PATH={}",
            folder.display(),
            folder.join("lib").display()
        ),
    }
    Ok(())
}

/// Fetches it unless it is there or the user has one.
pub(super) fn ensure(python: &Path) -> Result<Libtorch> {
    if [FOLDER, PYTORCH].iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty())) {
        return Ok(Libtorch::Own);
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(Libtorch::Missing);
    }
    let otherwise = format!("install torch {VERSION} by hand and set {FOLDER} to its torch folder, or {PYTORCH}=1");
    let folder = wheel::folder_of(python, "libtorch", VERSION, &PACKAGES, &otherwise, keep)?;
    Ok(Libtorch::Fetched(folder.join("torch")))
}

/// Moves what a build needs out of the unpacked wheels.
fn keep(wheel: &Path, kept: &Path) -> Result<()> {
    let take = |path: &str| {
        let to = kept.join(path);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::rename(wheel.join(path), &to).with_context(|| format!("the wheels have no {path}"))
    };
    take("torch/include")?;
    LIBRARIES.iter().try_for_each(|name| take(&format!("torch/lib/{name}")))?;
    FROM_CUDA.iter().try_for_each(|name| take(&format!("nvidia/cu13/lib/{name}")))?;
    // torch-sys holds it against the version that it is for.
    fs::write(kept.join("torch/build-version"), VERSION)?;
    for entry in fs::read_dir(wheel)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".dist-info") && entry.path().join("licenses").is_dir() {
            take(&format!("{name}/licenses"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_needs_is_kept_and_cuda_is_not() {
        let wheel = tempfile::tempdir().unwrap();
        let mut files =
            vec!["torch/include/torch.h", "torch/lib/libtorch_cuda.so", "torch-2.11.0.dist-info/licenses/LICENSE"];
        let libraries: Vec<String> = LIBRARIES.iter().map(|name| format!("torch/lib/{name}")).collect();
        let cuda: Vec<String> = FROM_CUDA.iter().map(|name| format!("nvidia/cu13/lib/{name}")).collect();
        files.extend(libraries.iter().chain(&cuda).map(String::as_str));
        for file in &files {
            let path = wheel.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let kept = tempfile::tempdir().unwrap();
        keep(wheel.path(), kept.path()).unwrap();
        for file in files {
            assert_eq!(kept.path().join(file).exists(), !file.contains("torch_cuda"), "{file}");
        }
    }
}
