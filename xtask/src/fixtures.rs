//! Golden files, made again by the reference implementations.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::step;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A Python with the packages of xtask/fixtures/requirements.txt.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// A Python with the packages of `xtask/fixtures/open_clip.txt` too; without it, their fixtures stay as they are.
    #[arg(long, value_name = "PYTHON")]
    open_clip_python: Option<PathBuf>,
    /// Writes full-size seeded checkpoints for benchmarks to this folder instead; they are not kept under version control.
    #[arg(long, value_name = "DIR")]
    full_size: Option<PathBuf>,
}

/// Runs the Python scripts that make the golden files.
pub(crate) fn run(args: &Args) -> Result<()> {
    let by = |python: &PathBuf, path: &str| {
        let mut command = Command::new(python);
        // Scripts import each other; what Python keeps of that does not belong in the tree.
        command.arg("-B").arg(step::root().join(path)).current_dir(step::root());
        command
    };
    let script = |path: &str| by(&args.python, path);
    if let Some(folder) = &args.full_size {
        return step::run(script("xtask/fixtures/make.py").arg("--full-size").arg(folder));
    }
    step::run(&mut script("xtask/fixtures/make.py"))?;
    step::run(&mut script("xtask/fixtures/weights.py"))?;
    step::run(&mut script("crates/core/tests/fixtures/resize.py"))?;
    step::run(&mut script("crates/core/tests/fixtures/processors.py"))?;
    step::run(&mut script("crates/core/tests/fixtures/jpeg.py"))?;
    step::run(&mut script("crates/core/tests/fixtures/formats.py"))?;
    step::run(&mut script("crates/provider-onnx/tests/fixtures/make.py"))?;
    step::run(&mut script("crates/provider-torch/tests/fixtures/make.py"))?;
    step::run(&mut script("examples/provider-custom/tests/golden.py"))?;
    let Some(python) = &args.open_clip_python else {
        eprintln!("the fixtures of open_clip stay as they are: they are made with --open-clip-python");
        return Ok(());
    };
    step::run(&mut by(python, "xtask/fixtures/open_clip_models.py"))
}
