//! Native libraries that the build and the tests need, fetched once into the target folder.
//!
//! Both come from wheels on the Python index, which pip fetches and unpacks, and of which only the libraries, what a build
//! needs, and the licences are kept. Libraries of the user's own, named by the variables that the providers read, win: then
//! nothing is fetched.

mod libtorch;
mod onnx_runtime;
mod wheel;

use std::path::{Path, PathBuf};

use anyhow::Result;

pub(crate) use libtorch::Libtorch;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A Python that has pip.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
}

/// Fetches what is missing, and says where it is.
pub(crate) fn run_task(args: &Args) -> Result<()> {
    onnx_runtime::report(&args.python)?;
    libtorch::report(&args.python)
}

/// Fetches ONNX Runtime for the tests, unless it is there or the user has one.
pub(crate) fn onnx_runtime() -> Result<()> {
    onnx_runtime::ensure(Path::new("python3"))
}

/// The libtorch to build with: the user's own, or the one in the target folder, fetched first if it is missing.
pub(crate) fn libtorch() -> Result<Libtorch> {
    libtorch::ensure(Path::new("python3"))
}
