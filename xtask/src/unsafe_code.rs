//! Where `unsafe` is, and how much of it, against what is written down with its reason. That each block says why it is sound is a lint's
//! to check.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::step::root;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Writes the counts down anew. A file in a folder without a reason still fails.
    #[arg(long)]
    write: bool,
}

const FOLDERS: [&str; 3] = ["crates", "examples", "xtask"];

pub(crate) fn run(args: &Args) -> Result<()> {
    let list = root().join("xtask").join("unsafe.json");
    let text = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
    let written: Value = serde_json::from_str(&text).with_context(|| list.display().to_string())?;
    let found = count()?;
    let reasons = written["reasons"].as_object().context("unsafe.json has no reasons")?;
    let strays: Vec<&String> = found.keys().filter(|file| !reasons.keys().any(|place| is_below(file, place))).collect();
    if !strays.is_empty() {
        bail!("unsafe where none was before: {strays:?}; do without, or give its place a reason in xtask/unsafe.json");
    }
    if args.write {
        let renewed = json!({ "reasons": reasons, "counts": found });
        return Ok(fs::write(&list, format!("{}\n", serde_json::to_string_pretty(&renewed)?))?);
    }
    let counts: BTreeMap<String, usize> = serde_json::from_value(written["counts"].clone())?;
    let changed: Vec<String> = found
        .keys()
        .chain(counts.keys())
        .filter(|file| found.get(*file) != counts.get(*file))
        .map(|file| format!("{file}: {} were written down, {} are there", number(&counts, file), number(&found, file)))
        .collect();
    if !changed.is_empty() {
        bail!(
            "the amount of unsafe has changed; if that was meant, `cargo xtask unsafe --write`:\n{}",
            changed.join("\n")
        );
    }
    println!("{} times in {} files, all written down", found.values().sum::<usize>(), found.len());
    Ok(())
}

fn number(counts: &BTreeMap<String, usize>, file: &str) -> usize {
    counts.get(file).copied().unwrap_or_default()
}

fn is_below(file: &str, place: &str) -> bool {
    file.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Files with `unsafe` in them, and how often.
fn count() -> Result<BTreeMap<String, usize>> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                match times(&fs::read_to_string(&path)?) {
                    0 => {}
                    n => drop(found.insert(shown(&path), n)),
                }
            }
        }
    }
    Ok(found)
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// How often the keyword stands in `code`, before comments and outside of quotes.
fn times(code: &str) -> usize {
    let words = |line: &str| {
        let line = line.split("//").next().unwrap_or_default();
        let unquoted: Vec<&str> = line.split('"').step_by(2).collect();
        let text = unquoted.join(" ");
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| *word == "unsafe").count()
    };
    code.lines().map(words).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyword_counts_and_words_do_not() {
        let code =
            "// unsafe\nlet unsafe_code = \"unsafe\";\nunsafe { x() } // unsafe\nunsafe fn f() { unsafe { y() } }";
        assert_eq!(times(code), 3);
        assert!(
            is_below("crates/kernels/src/amx.rs", "crates/kernels")
                && !is_below("crates/kernels2/x.rs", "crates/kernels")
        );
    }
}
