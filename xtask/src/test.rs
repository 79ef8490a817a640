//! Every check that a change must pass, in the order in which a mistake is found soonest.

use std::{process::Command, time::Instant};

use anyhow::{Result, bail};

use crate::{
    chaos, clean_room, example, fuzz, instructions, memcheck,
    setup::{self, Libtorch},
    step::{self, cargo},
    test_providers, tools, unsafe_code,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the checks whose name contains this.
    filter: Option<String>,
    /// Lists the checks and runs none.
    #[arg(long)]
    list: bool,
}

/// A check: its name, what it guards, and how it runs.
struct Check {
    name: &'static str,
    guards: &'static str,
    run: fn() -> Result<()>,
}

const CHECKS: &[Check] = &[
    Check { name: "format", guards: "rustfmt's layout", run: || step::run(&mut cargo(&["fmt", "--all", "--check"])) },
    Check {
        name: "lints",
        guards: "clippy without a warning, optional providers included",
        run: || {
            let mut clippy = workspace(&["clippy", "--all-targets", "--features", &optional()?])?;
            step::run(clippy.args(["--", "--deny", "warnings"]))
        },
    },
    Check {
        name: "tests",
        guards: "unit, property, golden and end-to-end tests",
        run: || {
            setup::onnx_runtime()?;
            // The workspace builds what `imbed sql` and `imbed cluster` need anyway.
            step::run(&mut workspace(&["test", "--all-targets", "--features", "imbed-cli/cluster"])?)
        },
    },
    Check {
        name: "providers",
        guards: "what every provider must do, and that providers of the same weights agree",
        run: || test_providers::run(&test_providers::Args::ALL),
    },
    Check { name: "example", guards: "a third party's provider, in a workspace of its own", run: example::run_checks },
    Check {
        name: "fuzz",
        guards: "hostile input: the seeds of every fuzz target, and damaged copies of them",
        run: fuzz::check,
    },
    Check {
        name: "doc-tests",
        guards: "the examples in the docs",
        run: || step::run(&mut workspace(&["test", "--doc"])?),
    },
    Check {
        name: "api-docs",
        guards: "rustdoc without a warning",
        // With the features of the lints, whose look at the dependencies then serves here too.
        run: || {
            let mut doc = workspace(&["doc", "--no-deps", "--features", &optional()?])?;
            step::run(doc.env("RUSTDOCFLAGS", "--deny warnings"))
        },
    },
    Check {
        name: "features",
        guards: "a build with one provider links no other, and none links SQL unasked",
        run: tools::features,
    },
    Check {
        name: "instructions",
        guards: "kernels take no more instructions than is written down, counted by valgrind",
        run: || instructions::run(&instructions::Args::default()),
    },
    Check { name: "memcheck", guards: "kernels keep to their buffers, watched by valgrind", run: memcheck::run },
    Check {
        name: "chaos",
        guards: "runs that are killed, stopped and starved end with every row once and in order",
        run: || chaos::run(&chaos::Args::SHORT),
    },
    Check {
        name: "unsafe",
        guards: "no file has more unsafe than is written down with its reason",
        run: || unsafe_code::run(&unsafe_code::Args::default()),
    },
    Check { name: "book", guards: "the guide in docs/ builds, and its links lead somewhere", run: tools::book },
    Check { name: "deny", guards: "licences, banned and doubled crates, sources, advisories", run: tools::deny },
    Check { name: "package", guards: "the crates can be packaged", run: clean_room::package },
    Check { name: "readme", guards: "the README's first command, in a folder of its own", run: clean_room::readme },
];

/// The features that need no toolkit to build; the tests build without them.
fn optional() -> Result<String> {
    let torch = if matches!(setup::libtorch()?, Libtorch::Missing) { "" } else { ",imbed-cli/torch" };
    Ok(format!("imbed-cli/onnx,imbed-cli/openai,imbed-cli/cluster{torch}"))
}

/// `cargo ARGS…` over all of the workspace, with the libtorch that one of its crates is linked with.
fn workspace(args: &[&str]) -> Result<Command> {
    let mut command = cargo(args);
    command.args(["--workspace", "--locked"]);
    setup::libtorch()?.tell(&mut command);
    Ok(command)
}

/// Runs the checks and prints a line for each, and their count last.
pub(crate) fn run(args: &Args) -> Result<()> {
    let wanted = |check: &&Check| args.filter.as_ref().is_none_or(|f| check.name.contains(f.as_str()));
    let checks: Vec<&Check> = CHECKS.iter().filter(wanted).collect();
    if checks.is_empty() {
        bail!("no check is named so; `cargo xtask test --list` names them");
    }
    if args.list {
        for check in checks {
            println!("{:<12}{}", check.name, check.guards);
        }
        return Ok(());
    }
    let mut lines = Vec::new();
    let mut failed = 0;
    for check in &checks {
        println!("\n=== {}: {}", check.name, check.guards);
        let start = Instant::now();
        let result = (check.run)();
        let seconds = start.elapsed().as_secs();
        let verdict = match &result {
            Ok(()) => "passed".to_owned(),
            Err(error) => format!("FAILED: {error:#}"),
        };
        failed += usize::from(result.is_err());
        lines.push(format!("{:<12}{seconds:>5} s  {verdict}", check.name));
    }
    println!("\n{}", lines.join("\n"));
    println!("{} passed, {failed} failed", checks.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} checks failed", checks.len());
    }
    Ok(())
}
