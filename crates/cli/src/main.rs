//! The `imbed` command: folders and tables of images become embedding columns.
//!
//! [`args`] is what a user may type, [`commands`] is what happens then. [`source`] turns inputs into chunks for the engine,
//! [`sink`] writes what comes back, [`download`], [`progress`] and [`summary`] say how it goes, [`logs`] and [`metrics`] say it to
//! machines, and [`exit`] is how it ends. No provider is named here: they come from the registry.

mod address;
mod again;
mod args;
mod commands;
mod download;
mod exit;
mod interrupt;
mod logs;
mod metrics;
mod panics;
mod progress;
mod show;
mod sink;
mod source;
mod summary;
mod urls;
mod vectors;

use std::process::ExitCode;

use clap::Parser;

use crate::exit::Blame;

fn main() -> ExitCode {
    panics::quieten();
    let cli = args::Cli::parse();
    exit::finish(logs::start(&cli.logs).usage().and_then(|()| commands::run(cli)))
}
