//! Damaged images of every format through the program, as a user would have them embedded.

use std::{collections::BTreeMap, fmt::Write, fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{replay, table};
use crate::{
    bench::process,
    step::{cargo, run as run_step, target_dir},
};

/// Makes `count` damaged images and embeds them; an error if one was a bug rather than an error of its own.
pub(super) fn run(count: usize, write: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (images, out) = (folder.path().join("images"), folder.path().join("out.jsonl"));
    let mut make = replay();
    run_step(make.arg("--write-images").arg(&images).args(["--mutations", &count.to_string()]))?;
    run_step(&mut cargo(&["build", "--release", "--locked", "--package", "imbed-cli"]))?;
    let program = target_dir().join("release").join(format!("imbed{}", std::env::consts::EXE_SUFFIX));
    let mut embed = Command::new(program);
    embed.arg("embed").arg(&images).arg("-o").arg(&out).args(["--on-error", "ignore", "--errors-column", "--quiet"]);
    // Some rows fail, which the program says by its exit code.
    let measured = process::run_with_code(&mut embed, 1)?;
    let text = fs::read_to_string(&out).context("the program's output")?;
    let kinds = kinds(&text)?;
    let rows: usize = kinds.values().sum();
    ensure!(rows == count, "{rows} rows came out of {count} images");
    let report = report(count, measured.seconds, measured.peak, &kinds);
    println!("\n{report}");
    let bugs: Vec<&str> = text.lines().filter(|line| line.contains("panicked") || line.contains("internal:")).collect();
    ensure!(bugs.is_empty(), "{} images found a bug, such as {}", bugs.len(), bugs[0]);
    if write {
        table::PAGE.write("mutations", &report)?;
    }
    Ok(())
}

/// How many rows have a vector, and how many an error of each kind.
fn kinds(text: &str) -> Result<BTreeMap<String, usize>> {
    let mut kinds = BTreeMap::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).context("a row of the output")?;
        let kind = match row.get("error").and_then(Value::as_str) {
            Some(error) => error.split(':').next().unwrap_or_default().to_owned(),
            None => "a vector".to_owned(),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    Ok(kinds)
}

fn report(count: usize, seconds: f64, peak: Option<f64>, kinds: &BTreeMap<String, usize>) -> String {
    let mut text = format!("{count} damaged images, {seconds:.0} s");
    if let Some(peak) = peak {
        let _ = write!(text, ", peak memory of the whole program {peak:.0} MiB");
    }
    text += ". No panic, nothing hung:\n\n| result | images |\n|---|--:|\n";
    for (kind, count) in kinds {
        let _ = writeln!(text, "| {kind} | {count} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_by_their_kind() {
        let text = "{\"error\":null}\n{\"error\":\"decode: cut: off\"}\n{\"error\":\"decode: x\"}\n";
        let kinds = kinds(text).unwrap();
        assert_eq!((kinds["a vector"], kinds["decode"]), (1, 2));
        assert!(report(3, 1.0, Some(20.4), &kinds).contains("20 MiB"));
    }
}
