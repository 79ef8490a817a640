//! Counts of instructions, which guard the kernels where wall time cannot: they are the same however busy the machine
//! is.
//!
//! valgrind counts them. It knows no AVX-512, so what it runs is the kernels for AVX2. Another compiler counts
//! otherwise: the numbers are written down with theirs, and held against those of the same one only.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::step::{cargo, root, run as run_step, target_dir};

const NUMBERS: &str = "xtask/instructions.json";
/// How far a count may be from what is written down.
const TOLERANCE: f64 = 0.03;
/// Programs that run one thing on a fixed input, inside a function called `counted`.
const PROGRAMS: [(&str, &str); 2] = [("imbed-kernels", "count_kernels"), ("imbed-core", "count_images")];

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Writes the counts down, after a change that was meant.
    #[arg(long)]
    write: bool,
}

/// Counts and compares; says why where it cannot.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(why) = impossible() {
        ensure!(!args.write, "nothing can be counted: {why}");
        println!("not checked: {why}");
        return Ok(());
    }
    let compiler = compiler()?;
    let written = fs::read_to_string(root().join(NUMBERS)).context(NUMBERS)?;
    let written: Value = serde_json::from_str(&written).context(NUMBERS)?;
    if !args.write && written["compiler"] != compiler.as_str() {
        println!(
            "not checked: the numbers are those of {}, and this is {compiler}; `cargo xtask instructions --write` renews \
             them",
            written["compiler"].as_str().unwrap_or("no compiler")
        );
        return Ok(());
    }
    let counts = count()?;
    if args.write {
        let text = format!("{:#}\n", json!({ "compiler": compiler, "counts": counts }));
        fs::write(root().join(NUMBERS), text)?;
        println!("written: {NUMBERS}");
        return Ok(());
    }
    let empty = Map::new();
    let (lines, wrong) = compare(&counts, written["counts"].as_object().unwrap_or(&empty));
    println!("{}", lines.join("\n"));
    if !wrong.is_empty() {
        bail!(
            "{}\nif that was meant, renew {NUMBERS} with `cargo xtask instructions --write` and say why in the commit",
            wrong.join("\n")
        );
    }
    Ok(())
}

/// Why valgrind can run no kernel here.
pub(crate) fn impossible() -> Option<String> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Some("the numbers are those of x86-64 on Linux".to_owned());
    }
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Some(
            "valgrind is not installed; a package of the system has it (apt install valgrind, dnf install valgrind)"
                .to_owned(),
        );
    }
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    (!processor.contains(" avx2")).then(|| "this processor has no AVX2".to_owned())
}

fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output().context("rustc cannot be started")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Instructions of everything that is counted, by name.
fn count() -> Result<Map<String, Value>> {
    for (package, example) in PROGRAMS {
        run_step(&mut cargo(&["build", "--release", "--locked", "--quiet", "-p", package, "--example", example]))?;
    }
    let mut counts = Map::new();
    for (_, example) in PROGRAMS {
        let program = target_dir().join("release/examples").join(example);
        let listed = Command::new(&program).output().with_context(|| program.display().to_string())?;
        for name in String::from_utf8_lossy(&listed.stdout).lines() {
            counts.insert(name.to_owned(), json!(instructions(&program, name)?));
        }
    }
    Ok(counts)
}

fn instructions(program: &PathBuf, name: &str) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--toggle-collect=*counted*", "--callgrind-out-file=/dev/null"]);
    // What valgrind tells the program that it has; a processor that has more must not count otherwise.
    let output = command.arg(program).arg(name).env("IMBED_CPU", "avx2").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "valgrind on '{name}' failed ({}):\n{said}", output.status);
    collected(&said)
        .filter(|&count| count > 0)
        .with_context(|| format!("valgrind counted nothing for '{name}':\n{said}"))
}

/// The number after `Collected :`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : "))?.1.split(' ').next()?.parse().ok()
}

/// A line for each count, and what is wrong.
fn compare(counts: &Map<String, Value>, written: &Map<String, Value>) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    for (name, count) in counts {
        let (now, before) = (count.as_f64().unwrap_or(f64::NAN), written.get(name).and_then(Value::as_f64));
        let change = before.map_or(f64::NAN, |before| now / before - 1.0);
        lines.push(format!("{name:<20}{now:>14}  {:+.2} %", change * 100.0));
        if before.is_none() {
            wrong.push(format!("{name} is not written down"));
        } else if change > TOLERANCE {
            wrong.push(format!("{name} takes {:.1} % more instructions than is written down", change * 100.0));
        } else if change < -TOLERANCE {
            wrong.push(format!(
                "{name} takes {:.1} % less than is written down: well done, write it down",
                -change * 100.0
            ));
        }
    }
    wrong.extend(
        written.keys().filter(|name| !counts.contains_key(*name)).map(|name| format!("{name} is not counted any more")),
    );
    (lines, wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(pairs: &[(&str, u64)]) -> Map<String, Value> {
        pairs.iter().map(|&(name, count)| (name.to_owned(), json!(count))).collect()
    }

    #[test]
    fn a_count_may_change_a_little_and_no_more() {
        let written = numbers(&[("a", 1000), ("b", 1000), ("c", 1000)]);
        assert!(compare(&numbers(&[("a", 1029), ("b", 971), ("c", 1000)]), &written).1.is_empty());
        let wrong = compare(&numbers(&[("a", 1031), ("b", 969), ("d", 1)]), &written).1;
        assert_eq!(wrong.len(), 4, "{wrong:?}");
        assert!(wrong[0].contains("a takes 3.1 % more") && wrong[1].contains("b takes 3.1 % less"));
        assert!(wrong[2].contains('d') && wrong[3].contains('c'));
    }

    #[test]
    fn the_count_is_found_in_what_valgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 4711\n==7== \n";
        assert_eq!(collected(said), Some(4711));
        assert_eq!(collected("==7== nothing"), None);
    }
}
