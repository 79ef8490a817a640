//! The commands, one file each.

#[cfg_attr(not(feature = "cluster"), path = "commands/no_cluster.rs")]
mod cluster;
mod embed;
mod inspect;
mod models;
mod providers;
mod similar;
#[cfg_attr(not(feature = "sql"), path = "commands/no_sql.rs")]
mod sql;

use std::{io::Write, path::Path};

use imbed::core::{Error, Registry, Result, Session, config::Config};

use crate::{
    args::{Cli, Command},
    exit::Outcome,
};

/// Does what the user asked for.
pub(crate) fn run(cli: Cli) -> Outcome {
    match cli.command {
        Command::Embed(args) => embed::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Similar(args) => similar::run(&args),
        Command::Sql(args) => sql::run(&args),
        Command::Cluster(args) => cluster::run(&args),
        Command::Providers(args) => providers::run(&args),
        Command::Models(args) => models::run(&args),
    }
}

/// The linked providers under the configuration in `file`, or in `imbed.toml`, and the environment.
fn session(file: Option<&Path>) -> Result<Session> {
    Ok(Session::new(Registry::linked()).with_config(Config::load(file)?))
}

/// Prints `text` to standard output. Unlike `print!` it returns when the reader has gone, instead of panicking.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| Error::io("standard output", e))
}

/// Prints `value` to standard output on one line.
fn print_json(value: &serde_json::Value) -> Result<()> {
    print(&format!("{value}\n"))
}
