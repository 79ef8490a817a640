//! Golden files, made again by the reference implementations.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::step;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A Python with the packages of xtask/fixtures/requirements.txt.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Writes full-size seeded checkpoints for benchmarks to this folder instead; they are not kept under version control.
    #[arg(long, value_name = "DIR")]
    full_size: Option<PathBuf>,
}

/// Runs the Python scripts that make the golden files.
pub(crate) fn run(args: &Args) -> Result<()> {
    let script = |path: &str| {
        let mut command = Command::new(&args.python);
        command.arg(step::root().join(path)).current_dir(step::root());
        command
    };
    if let Some(folder) = &args.full_size {
        return step::run(script("xtask/fixtures/make.py").arg("--full-size").arg(folder));
    }
    step::run(&mut script("xtask/fixtures/make.py"))?;
    step::run(&mut script("crates/core/tests/fixtures/resize.py"))?;
    step::run(&mut script("crates/core/tests/fixtures/jpeg.py"))?;
    step::run(&mut script("examples/provider-custom/tests/golden.py"))
}
