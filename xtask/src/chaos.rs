//! Runs of `imbed embed --resume` that are killed, stopped and starved at random moments, held against runs that nobody disturbs.
//!
//! A fault is a file in `faults/`: another one is a struct with the trait [`Fault`] and a line in [`faults::all`].

mod compare;
mod faults;
pub(crate) mod pictures;
mod round;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{
    bench::machine::Machine,
    page::Page,
    step::{self, cargo, target_dir},
};
use compare::Difference;
use round::{Round, Stage};

pub(crate) const PAGE: Page = Page("docs/chaos.md");

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// SIGKILLs in all; of the other faults there are a fifth as many.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    kills: u32,
    /// Images of a run.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(20..))]
    images: u32,
    /// Goes on with all faults, in turn, until so many minutes have passed.
    #[arg(long, value_name = "N", default_value_t = 0.0)]
    minutes: f64,
    /// Where the random moments begin; the same number gives the same ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Shows the table and leaves the page as it is.
    #[arg(long)]
    dry: bool,
}

impl Args {
    /// Few faults, for every change.
    pub(crate) const SHORT: Self = Self { kills: 10, images: 400, minutes: 0.0, seed: 1, dry: true };

    fn shown(&self) -> String {
        let minutes = if self.minutes > 0.0 { format!(" --minutes {}", self.minutes) } else { String::new() };
        format!("cargo xtask chaos --kills {} --images {} --seed {}{minutes}", self.kills, self.images, self.seed)
    }
}

/// What goes wrong while images are embedded.
pub(crate) trait Fault {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// What happens, for the page.
    fn happens(&self) -> &'static str;

    /// How often, of so many SIGKILLs.
    fn wanted(&self, kills: u32) -> u32 {
        (kills / 5).max(1)
    }

    /// Disturbs runs into one output, at most `most` times. The output need not be whole afterwards.
    fn disturb(&self, round: &mut Round<'_>, most: u32) -> Result<u32>;
}

/// What a fault came to.
#[derive(Debug, Default)]
struct Tally {
    faults: u32,
    outputs: u32,
    runs: u32,
    rows_expected: usize,
    rows_found: usize,
    difference: Difference,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    step::run(&mut cargo(&["build", "--release", "--locked", "--quiet", "-p", "imbed-cli"]))?;
    let program = target_dir().join("release").join(format!("imbed{}", std::env::consts::EXE_SUFFIX));
    let folder = tempfile::tempdir()?;
    let stage = Stage::new(std::path::absolute(program)?, folder.path(), args.images)?;
    println!("an undisturbed run takes {:.1} s", stage.undisturbed.as_secs_f64());
    let faults = faults::all();
    let mut tallies: Vec<Tally> = faults.iter().map(|_| Tally::default()).collect();
    let mut random = fastrand::Rng::with_seed(args.seed);
    let start = Instant::now();
    loop {
        for (fault, tally) in faults.iter().zip(&mut tallies) {
            let target = tally.faults + fault.wanted(args.kills);
            // A round may end before its fault could strike.
            for attempt in 0.. {
                if tally.faults >= target {
                    break;
                }
                if attempt == 20 + 4 * args.kills {
                    bail!("{}: the fault does not strike any more", fault.name());
                }
                play(fault.as_ref(), &stage, tally, target - tally.faults, &mut random)?;
            }
            println!("{}", line(fault.as_ref(), tally));
        }
        if start.elapsed() >= Duration::from_secs_f64(args.minutes.max(0.0) * 60.0) {
            break;
        }
    }
    let table = table(&faults, &tallies);
    println!("\n{table}");
    if !args.dry {
        write(args, &faults, &table)?;
    }
    let wrong: Vec<&str> = faults
        .iter()
        .zip(&tallies)
        .filter(|(_, tally)| tally.difference != Difference::default())
        .map(|(fault, _)| fault.name())
        .collect();
    if !wrong.is_empty() {
        bail!("rows were lost, doubled, swapped or out of order: {}", wrong.join(", "));
    }
    Ok(())
}

/// One output, from its first run to the last, held against an undisturbed one.
fn play(fault: &dyn Fault, stage: &Stage, tally: &mut Tally, most: u32, random: &mut fastrand::Rng) -> Result<()> {
    let mut round = Round::new(stage, random.fork()).context("a round cannot be prepared")?;
    let faults = fault.disturb(&mut round, most).with_context(|| fault.name())?;
    round.finish().with_context(|| fault.name())?;
    let (expected, found) = (round.expected()?, round.found()?);
    tally.faults += faults;
    tally.outputs += 1;
    tally.runs += round.runs;
    tally.rows_expected += expected.len();
    tally.rows_found += found.len();
    tally.difference.add(&compare::rows(&expected, &found));
    Ok(())
}

const HEADINGS: &str = "| fault | injected | outputs | runs | rows expected | rows found | lost | doubled | swapped | out of order |\n\
                        |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";

fn line(fault: &dyn Fault, tally: &Tally) -> String {
    let Tally { faults, outputs, runs, rows_expected, rows_found, difference } = tally;
    let Difference { lost, doubled, swapped, out_of_order } = difference;
    format!(
        "| {} | {faults} | {outputs} | {runs} | {rows_expected} | {rows_found} | {lost} | {doubled} | {swapped} | {out_of_order} |",
        fault.name()
    )
}

fn table(faults: &[Box<dyn Fault>], tallies: &[Tally]) -> String {
    let lines = faults.iter().zip(tallies).map(|(fault, tally)| format!("{}\n", line(fault.as_ref(), tally)));
    HEADINGS.to_owned() + &lines.collect::<String>()
}

/// Puts what was found into the page.
fn write(args: &Args, faults: &[Box<dyn Fault>], table: &str) -> Result<()> {
    let happens: Vec<String> = faults.iter().map(|f| format!("- *{}*: {}", f.name(), f.happens())).collect();
    let happens = happens.join("\n");
    PAGE.write("chaos", &format!("`{}`. {}.\n\n{table}\n{happens}", args.shown(), Machine::look()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_place_for_each_table() {
        for name in ["chaos", "soak"] {
            PAGE.read(name).unwrap();
        }
    }
}
