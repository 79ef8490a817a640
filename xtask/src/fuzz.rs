//! Fuzzing: every target of `fuzz/` by libFuzzer, or damaged images through the program itself.
//!
//! The targets are those of cargo-fuzz, and `cargo +nightly fuzz run TARGET` runs them too. Here they are built by the project's own
//! compiler, which can count what is covered but has no address sanitiser: in safe code there is little for that to find.

mod mutations;
mod share;
mod table;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, bail, ensure};

use self::table::Row;
use crate::step::{cargo, root, run as run_step, target_dir};

const MANIFEST: &str = "fuzz/Cargo.toml";

/// What makes libFuzzer see which branches are taken.
const COVERAGE: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Ccodegen-units=1",
];

/// The most memory and time of one input.
const LIMITS: [&str; 3] = ["-rss_limit_mb=512", "-timeout=10", "-max_len=65536"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these targets; by default all.
    targets: Vec<String>,
    /// How long each target runs. What is written down is the time that it had a core for itself.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Targets that run at once, each on a core of its own.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Adds what was found to docs/fuzzing.md.
    #[arg(long)]
    write: bool,
    /// Instead of fuzzing, sends so many damaged images through the program.
    #[arg(long, value_name = "N")]
    mutations: Option<usize>,
}

/// Fuzzes, and prints a table; an error if any input crashed.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(count) = args.mutations {
        return mutations::run(count, args.write);
    }
    let targets = wanted(&args.targets)?;
    build(&targets)?;
    let corpus = root().join("fuzz/corpus");
    run_step(replay().arg("--write-seeds").arg(&corpus))?;
    let rows = all(&targets, args)?;
    println!("\n{}", table::markdown(&rows));
    let crashed: Vec<&str> = rows.iter().filter(|row| row.crashes > 0).map(|row| row.target.as_str()).collect();
    ensure!(crashed.is_empty(), "inputs crashed, which fuzz/artifacts keeps: {}", crashed.join(", "));
    Ok(())
}

/// A row of each target, in their order; whatever is known so far is in the docs, if it is wanted there.
fn all(targets: &[String], args: &Args) -> Result<Vec<Row>> {
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(BTreeMap::new());
    let worker = || -> Result<()> {
        while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            let row = fuzz(target, args.seconds)?;
            // A panic of another target's worker leaves whole rows.
            let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
            if args.write {
                table::add(std::slice::from_ref(&row))?;
            }
            rows.insert(target, row);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..args.jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a target's thread failed")))
    })?;
    Ok(rows.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
}

/// The check of `cargo xtask test`: the targets themselves, their seeds, and damaged copies of those.
pub(crate) fn check() -> Result<()> {
    run_step(&mut cargo(&["fmt", "--check", "--manifest-path", MANIFEST]))?;
    run_step(replay().args(["--mutations", "400"]))
}

/// The program that runs targets without libFuzzer, to be given its arguments.
fn replay() -> Command {
    let mut command = cargo(&["run", "--quiet", "--locked", "--manifest-path", MANIFEST, "--no-default-features"]);
    command.args(["--bin", "replay"]).env("CARGO_TARGET_DIR", target_dir().join("fuzz")).arg("--");
    command
}

/// The names of the targets that were asked for.
fn wanted(asked: &[String]) -> Result<Vec<String>> {
    let entries = fs::read_dir(root().join("fuzz/fuzz_targets")).context("fuzz/fuzz_targets")?.flatten();
    let mut all: Vec<String> =
        entries.filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned())).collect();
    all.sort();
    if let Some(unknown) = asked.iter().find(|name| !all.contains(name)) {
        bail!("there is no target '{unknown}': {}", all.join(", "));
    }
    Ok(if asked.is_empty() { all } else { asked.to_vec() })
}

/// The triple of this machine. It has to be named, or programs that only help to build would be counted in too.
fn triple() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    Ok(line.to_owned())
}

fn folder() -> Result<PathBuf> {
    Ok(target_dir().join("fuzz").join(triple()?).join("release"))
}

/// Builds these targets alone: the program that replays them has no libFuzzer to be linked with.
fn build(targets: &[String]) -> Result<()> {
    let mut command = cargo(&["build", "--release", "--locked", "--manifest-path", MANIFEST, "--target", &triple()?]);
    command.args(targets.iter().flat_map(|target| ["--bin", target]));
    run_step(command.env("CARGO_TARGET_DIR", target_dir().join("fuzz")).env("RUSTFLAGS", COVERAGE.join(" ")))
}

fn fuzz(target: &str, seconds: u64) -> Result<Row> {
    let place = |what: &str| root().join("fuzz").join(what).join(target);
    let (corpus, artifacts) = (place("corpus"), place("artifacts"));
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let log = tempfile::NamedTempFile::new()?;
    let mut command = Command::new(folder()?.join(target));
    command.args(LIMITS).args(["-print_final_stats=1", &format!("-max_total_time={seconds}")]);
    command.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(&corpus);
    command.stdout(Stdio::null()).stderr(File::create(log.path())?);
    let (status, seconds) = share::run(&mut command).with_context(|| format!("{target} cannot be run"))?;
    let said = String::from_utf8_lossy(&fs::read(log.path())?).into_owned();
    let row = Row::read(target, &said, seconds, u64::from(!status.success()));
    println!("{}", row.line());
    if !status.success() {
        let lines: Vec<&str> = said.lines().collect();
        println!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
    }
    Ok(row)
}
