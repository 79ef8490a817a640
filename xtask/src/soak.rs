//! Long runs: many small images through one process, through processes that are killed all the time, and through a cluster that loses
//! an executor now and then. Memory and speed at the end are held against those at the start, and rows against each other.

mod cluster;
mod held;
mod local;
mod watch;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Result, bail};

use crate::{
    bench::machine::Machine,
    chaos::{PAGE, pictures::picture},
    setup,
    step::{self, cargo, target_dir},
};
use watch::Course;

/// Images of a folder: file systems like it, and so do people.
const PER_FOLDER: u32 = 1000;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Images that are made and embedded.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1000..))]
    images: u32,
    /// Seconds between two faults.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// The development build, which `cargo xtask test` has made already, instead of the one that users get.
    #[arg(long)]
    dev: bool,
    /// Shows the table and leaves the page as it is.
    #[arg(long)]
    dry: bool,
}

impl Args {
    fn shown(&self) -> String {
        let dev = if self.dev { " --dev" } else { "" };
        format!("cargo xtask soak --images {} --every {}{dev}", self.images, self.every)
    }
}

/// What all runs share.
struct Stage {
    program: PathBuf,
    folder: PathBuf,
    every: Duration,
}

impl Stage {
    /// `imbed ARGS…` in the folder of the run.
    fn imbed(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        command
    }
}

/// What a run came to.
struct Outcome {
    name: &'static str,
    /// Processes that were killed.
    faults: u32,
    course: Course,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let program = build(args.dev)?;
    let folder = tempfile::tempdir()?;
    let stage = Stage { program, folder: folder.path().to_owned(), every: Duration::from_secs(args.every) };
    println!("making {} pictures …", args.images);
    make(args.images, &folder.path().join("shots"))?;
    let whole = local::undisturbed(&stage)?;
    println!("{}", line(&whole));
    let killed = local::killed(&stage)?;
    println!("{}", line(&killed));
    let cluster = cluster::run(&stage)?;
    println!("{}", line(&cluster));
    let expected = held::Expected { rows: args.images, failed: (0..args.images).filter(|n| is_bad(*n)).count() as u32 };
    let mut text = format!("`{}`. {}.\n\n{HEADINGS}", args.shown(), Machine::look());
    let mut wrong = Vec::new();
    for outcome in [&whole, &killed, &cluster] {
        let held = held::against(&stage, outcome.name)?;
        let _ = writeln!(text, "{} {} |", line(outcome), held.cells());
        if !held.is_exact(&expected) {
            wrong.push(outcome.name);
        }
    }
    let _ = write!(
        text,
        "\nOf {} files {} are no images or end early: these are null. Memory is that of the largest process, in the first and in the \
         last third of the time.\n",
        expected.rows, expected.failed
    );
    println!("\n{text}");
    if !args.dry {
        PAGE.write("soak", &text)?;
    }
    if !wrong.is_empty() {
        bail!("rows are not as they should be: {}", wrong.join(", "));
    }
    Ok(())
}

const HEADINGS: &str = "| run | processes killed | seconds | rows/s, first third | last third | MiB, first third | last third | rows \
                        | paths | vectors | unlike the undisturbed run |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";

fn line(Outcome { name, faults, course }: &Outcome) -> String {
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.0}"));
    let [early, late] = course.memory();
    let [first, last] = course.speed();
    format!(
        "| {name} | {faults} | {:.0} | {} | {} | {} | {} |",
        course.seconds(),
        number(first),
        number(last),
        number(early),
        number(late)
    )
}

/// The program with clusters and SQL.
fn build(dev: bool) -> Result<PathBuf> {
    // The workspace with its tests is what `cargo xtask test` builds; without them its dependencies have other features, and would be
    // built anew.
    let mut command = cargo(&["build", "--workspace", "--all-targets", "--locked", "--quiet"]);
    command.args(["--features", "imbed-cli/cluster"]);
    setup::libtorch()?.tell(&mut command);
    let profile = if dev { "debug" } else { "release" };
    if !dev {
        command.arg("--release");
    }
    step::run(&mut command)?;
    Ok(std::path::absolute(target_dir().join(profile).join(format!("imbed{}", std::env::consts::EXE_SUFFIX)))?)
}

fn make(images: u32, folder: &Path) -> Result<()> {
    for n in 0..images {
        let folder = folder.join(format!("{:04}", n / PER_FOLDER));
        if n % PER_FOLDER == 0 {
            fs::create_dir_all(&folder)?;
        }
        let (name, bytes) = picture(u64::from(n));
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// Whether picture `n` cannot be decoded.
fn is_bad(n: u32) -> bool {
    matches!(n % 100, 41 | 42)
}
