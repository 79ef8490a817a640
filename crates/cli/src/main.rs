//! The `imbed` command: folders and tables of images become embedding columns.
//!
//! [`args`] is what a user may type, [`commands`] is what happens then. [`source`] turns inputs into chunks for the engine,
//! [`sink`] writes what comes back, [`download`], [`progress`] and [`summary`] say how it goes, and [`exit`] is how it ends. No provider is
//! named here: they come from the registry.

mod address;
mod args;
mod commands;
mod download;
mod exit;
mod interrupt;
mod panics;
mod progress;
mod show;
mod sink;
mod source;
mod summary;
mod vectors;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    panics::quieten_pipeline();
    exit::finish(commands::run(args::Cli::parse()))
}
