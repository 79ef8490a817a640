//! The programs that are measured, built as users get them, and what they make once and keep in the target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::process;
use crate::step::{self, cargo, target_dir};

/// What the makers of checkpoints and pictures are: another number makes all anew.
const EDITION: &str = "1";

pub(crate) struct Programs {
    pub(crate) imbed: PathBuf,
    /// crates/imbed/examples/bench.
    pub(crate) helper: PathBuf,
    /// crates/kernels/examples/ceilings.rs.
    pub(crate) ceilings: PathBuf,
}

impl Programs {
    /// Built by Cargo as everybody gets them, or for GPUs; with libtorch there if the environment names one, which knows of CUDA.
    pub(crate) fn build(gpu: bool) -> Result<Self> {
        let torch = ["LIBTORCH", "LIBTORCH_USE_PYTORCH"].iter().any(|name| std::env::var_os(name).is_some());
        let features = match (gpu, torch) {
            (false, _) => "",
            (true, false) => "cuda",
            (true, true) => "cuda,torch",
        };
        for args in [
            &["-p", "imbed-cli", "--features", features][..],
            &["-p", "imbed", "--example", "bench", "--features", features],
            &["-p", "imbed-kernels", "--example", "ceilings"],
        ] {
            step::run(cargo(&["build", "--release", "--locked", "--quiet"]).args(args))?;
        }
        // A program of ours may be built anew by somebody else while this runs: what is measured stays as it is.
        let kept = folder()?.join("programs");
        fs::create_dir_all(&kept)?;
        let keep = |path: &str| -> Result<PathBuf> {
            let built = target_dir().join("release").join(format!("{path}{}", std::env::consts::EXE_SUFFIX));
            let to = kept.join(built.file_name().unwrap_or_default());
            let staged = to.with_extension("new");
            fs::copy(&built, &staged).with_context(|| built.display().to_string())?;
            fs::rename(&staged, &to)?;
            Ok(to)
        };
        Ok(Self { imbed: keep("imbed")?, helper: keep("examples/bench")?, ceilings: keep("examples/ceilings")? })
    }

    /// Those of `folder`, which were built elsewhere with the features `cuda` and `torch`.
    pub(crate) fn there(folder: &Path) -> Result<Self> {
        let program = |name: &str| -> Result<PathBuf> {
            let path = std::path::absolute(folder)?.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
            ensure!(path.is_file(), "--programs: {} is not there", path.display());
            Ok(path)
        };
        Ok(Self { imbed: program("imbed")?, helper: program("bench")?, ceilings: folder.join("ceilings") })
    }

    /// The folder of a seeded checkpoint of full size.
    pub(crate) fn checkpoint(&self, name: &str) -> Result<PathBuf> {
        self.made(&["checkpoint", name], &folder()?.join("checkpoints").join(name), &[])
    }

    /// A folder of pictures that cost what photos do.
    pub(crate) fn photos(&self, count: usize) -> Result<PathBuf> {
        let count = count.to_string();
        self.made(&["photos"], &folder()?.join("photos").join(&count), &[&count])
    }

    /// `folder`, filled by the helper unless it is there.
    fn made(&self, task: &[&str], folder: &Path, more: &[&str]) -> Result<PathBuf> {
        let mark = folder.join("EDITION");
        if fs::read_to_string(&mark).is_ok_and(|there| there == EDITION) {
            return Ok(folder.to_owned());
        }
        println!("making {} (once) …", folder.display());
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        process::run(Command::new(&self.helper).args(task).arg(folder).args(more))?;
        fs::write(mark, EDITION)?;
        Ok(folder.to_owned())
    }

    /// Thousand million operations a second of all cores, by number type.
    pub(crate) fn ceilings(&self) -> Result<Value> {
        Ok(process::run(Command::new(&self.ceilings).arg("peaks"))?.said)
    }
}

/// Where this task keeps what it makes: from the root, as processes are started elsewhere.
pub(crate) fn folder() -> Result<PathBuf> {
    Ok(std::path::absolute(target_dir().join("bench"))?)
}
