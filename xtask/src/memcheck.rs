//! The kernels' tests under valgrind's memcheck: no kernel reads or writes beside its buffers, or branches on what was never written.
//!
//! The tests ask for every level that the processor has, which under valgrind are those up to AVX2.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::{
    instructions,
    step::{cargo, root},
};

/// What valgrind ends with where memory was misused, and a test never does.
const MISUSED: i32 = 97;
/// A tenth of the random shapes, as each takes fifty times as long: see `crates/kernels/tests`.
const SHARE: &str = "10";

/// Runs them; says why where it cannot.
pub(crate) fn run() -> Result<()> {
    if let Some(why) = instructions::impossible() {
        println!("not checked: {why}");
        return Ok(());
    }
    for program in programs()? {
        let mut command = Command::new("valgrind");
        command.args(["--tool=memcheck", "--quiet", &format!("--error-exitcode={MISUSED}")]).arg(&program);
        // A thread at a time is all that valgrind runs.
        let status = command.args(["--quiet", "--test-threads=1"]).env("IMBED_KERNEL_CASES_DIVISOR", SHARE).status()?;
        ensure!(status.code() != Some(MISUSED), "{} misuses memory: see what valgrind says above", program.display());
        ensure!(status.success(), "{} failed under valgrind ({status})", program.display());
    }
    Ok(())
}

/// The test programs of the kernels, built as what users get is.
fn programs() -> Result<Vec<PathBuf>> {
    let mut build = cargo(&["test", "--release", "--locked", "--quiet", "-p", "imbed-kernels", "--lib", "--tests"]);
    let output = build.args(["--no-run", "--message-format=json"]).current_dir(root()).output()?;
    ensure!(output.status.success(), "the kernels' tests do not build:\n{}", String::from_utf8_lossy(&output.stderr));
    let programs: Vec<PathBuf> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["executable"].as_str().map(PathBuf::from))
        .collect();
    ensure!(!programs.is_empty(), "cargo named no test program of the kernels");
    Ok(programs)
}
