//! Somebody else's programs, in a Python environment of their own in the target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::programs;
use crate::step::{root, run};

const REQUIREMENTS: &str = "xtask/bench/requirements.txt";
/// What `--peers` takes.
pub(crate) const NAMES: [&str; 6] = ["all", "transformers", "sentence-transformers", "onnxruntime", "openvino", "daft"];

/// The environment's Python, made unless it is there with the same packages.
pub(crate) fn python(base: &Path) -> Result<PathBuf> {
    let wanted = fs::read_to_string(root().join(REQUIREMENTS)).context(REQUIREMENTS)?;
    let folder = programs::folder()?.join("python");
    let mark = folder.join("requirements.txt");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if !fs::read_to_string(&mark).is_ok_and(|there| there == wanted) {
        println!("installing the peers (once, a few gigabytes) …");
        run(Command::new(base).args(["-m", "venv", "--clear"]).arg(&folder))
            .context("name a Python 3.10 or newer with its module venv by --python")?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
            .arg(root().join(REQUIREMENTS));
        run(&mut pip).context("the Python index must be within reach, or have its packages in pip's cache")?;
        fs::write(mark, wanted)?;
    }
    Ok(python)
}

/// What the peers want beside a checkpoint, made unless it is there; the ONNX files are for the processor.
pub(crate) fn ready(python: &Path, checkpoint: &Path, graphs: bool) -> Result<PathBuf> {
    let name = checkpoint.file_name().unwrap_or_default();
    let folder = programs::folder()?.join("ready").join(name);
    let script = root().join("xtask/bench/ready.py");
    let made_by = format!("{}graphs: {graphs}\n", fs::read_to_string(&script)?);
    let mark = folder.join("made-by");
    if !fs::read_to_string(&mark).is_ok_and(|there| there == made_by) {
        println!("exporting {} for the peers (once) …", name.display());
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let mut command = Command::new(python);
        command.arg("-B").arg(script).arg("--model").arg(checkpoint).arg("--out").arg(&folder);
        if !graphs {
            command.arg("--no-graphs");
        }
        super::process::run(&mut command)?;
        fs::write(mark, made_by)?;
    }
    Ok(folder)
}
