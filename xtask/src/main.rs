//! The project's own tasks. `cargo xtask test` runs every check that a change must pass.

mod bench;
mod chaos;
mod clean_room;
mod example;
mod fixtures;
mod fuzz;
mod instructions;
mod memcheck;
mod page;
mod setup;
mod soak;
mod step;
mod test;
mod test_providers;
mod tools;
mod unsafe_code;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Runs every check: format, lints, tests, docs, licences, and the README's first command.
    Test(test::Args),
    /// Runs the conformance suite on every provider, and compares providers that run the same weights.
    TestProviders(test_providers::Args),
    /// Makes the golden files again, with `PyTorch` and transformers.
    Fixtures(fixtures::Args),
    /// Measures speed in stages and end to end, beside what the machine allows and, with --peers, beside others.
    Bench(Box<bench::Args>),
    /// Kills, stops and starves runs at random moments, and counts the rows that are lost, doubled or swapped: none.
    Chaos(chaos::Args),
    /// Embeds many small images in one process, in processes that are killed, and on a cluster that loses executors.
    Soak(soak::Args),
    /// Counts the instructions of kernels on fixed inputs, against the numbers that are written down.
    Instructions(instructions::Args),
    /// Counts the uses of `unsafe`, against what is written down with its reason.
    Unsafe(unsafe_code::Args),
    /// Fuzzes what reads bytes of strangers, or sends damaged images through the program.
    Fuzz(fuzz::Args),
    /// Fetches the native libraries that the tests open into the target folder; `test` does it by itself.
    Setup(setup::Args),
}

fn main() -> ExitCode {
    let result = match Args::parse().task {
        Task::Test(args) => test::run(&args),
        Task::TestProviders(args) => test_providers::run(&args),
        Task::Fixtures(args) => fixtures::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Chaos(args) => chaos::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Instructions(args) => instructions::run(&args),
        Task::Unsafe(args) => unsafe_code::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Setup(args) => setup::run_task(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
