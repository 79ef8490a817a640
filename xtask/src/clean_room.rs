//! What a newcomer does, done as a newcomer would: from the files under version control alone.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};

use crate::step::{cargo, root, run, target_dir};

/// Packages every crate that is to be published, without building it again.
pub(crate) fn package() -> Result<()> {
    run(&mut cargo(&[
        "package",
        "--workspace",
        "--exclude",
        "xtask",
        "--no-verify",
        "--locked",
        "--allow-dirty",
        "--quiet",
    ]))
}

/// Runs the README's first command as it is written there, and looks at what it made.
pub(crate) fn readme() -> Result<()> {
    let readme = std::fs::read_to_string(root().join("README.md")).context("README.md")?;
    let line =
        first_command(&readme).context("README.md has no indented or fenced command that starts with `cargo run`")?;
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("embeddings.parquet");
    let args: Vec<String> = line
        .split_whitespace()
        .skip(1)
        .map(|word| if word == "embeddings.parquet" { out.display().to_string() } else { word.to_owned() })
        .collect();
    ensure!(args.contains(&out.display().to_string()), "README.md's first command does not write embeddings.parquet");
    run(&mut cargo(&args.iter().map(String::as_str).collect::<Vec<_>>()))?;
    inspect(&out)
}

/// The first line of `readme` that runs the program.
fn first_command(readme: &str) -> Option<&str> {
    readme
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("cargo run"))
        .map(|line| line.split(" #").next().unwrap_or(line))
}

/// Every row of the README's example must have a vector.
fn inspect(out: &Path) -> Result<()> {
    let program = target_dir().join("release").join(format!("imbed{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(&program).arg("inspect").arg(out).arg("--json").output()?;
    if !output.status.success() {
        bail!("imbed inspect failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    println!("{text}");
    ensure!(
        text.contains("\"nulls\": 0") || text.contains("\"nulls\":0"),
        "some rows of the README's example are null"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_command_is_found_and_its_comment_is_not_part_of_it() {
        let readme =
            "# x\n\n    cargo run --release -- embed a -o embeddings.parquet   # no download\n    cargo xtask test\n";
        assert_eq!(first_command(readme).unwrap().trim_end(), "cargo run --release -- embed a -o embeddings.parquet");
    }
}
