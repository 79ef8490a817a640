//! What a number type costs a trained model: seeded weights say little about int8.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{process, programs::Programs, vectors::Vectors};

/// The share of a table's images whose nearest other image, by the built-in model, has the same label.
pub(crate) fn share(programs: &Programs, table: &Path, dtype: &str, options: &[String], scratch: &Path) -> Result<f64> {
    let out = scratch.join("retrieval.jsonl");
    let mut command = Command::new(&programs.imbed);
    command.arg("embed").arg(table).args(["--model", "imbed/tiny", "--dtype", dtype]);
    for option in options {
        command.args(["--option", option]);
    }
    process::run(command.arg("--output").arg(&out).args(["--overwrite", "--quiet"]))?;
    let mut labels = Vec::new();
    let mut vectors = Vectors { width: 0, values: Vec::new() };
    for line in fs::read_to_string(&out)?.lines() {
        let row: Value = serde_json::from_str(line)?;
        ensure!(!row["label"].is_null(), "{} has no column label for every image", table.display());
        labels.push(row["label"].clone());
        let numbers = row["embedding"].as_array().context("an image has no vector")?;
        vectors.width = numbers.len();
        vectors.values.extend(numbers.iter().filter_map(Value::as_f64).map(|x| x as f32));
    }
    vectors.nearest_share(&labels).with_context(|| format!("{} has no two images", table.display()))
}
