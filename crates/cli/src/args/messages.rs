//! Flags about what is said, and to whom.

use std::net::SocketAddr;

use clap::{ArgAction, Args, ValueEnum};

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct MessageArgs {
    /// Print the plan and why, and do nothing
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) explain: bool,

    /// Print errors only
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Print the summary as one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,

    /// Serve the run's counters to Prometheus at /metrics of this address, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_addr: Option<SocketAddr>,
}

#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Messages")]
pub(crate) struct LogArgs {
    /// Log what happens on stderr, from this level up [default: info with --log-format, else off]
    #[arg(long, value_enum, global = true, value_name = "LEVEL", env = "IMBED_LOG", hide_env_values = true)]
    pub(crate) log_level: Option<LogLevel>,

    /// How it is logged; json makes every line on stderr one JSON object
    #[arg(long, value_enum, global = true, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

/// From which level up events are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum LogLevel {
    /// None
    Off,
    /// What ends the run
    Error,
    /// And rows that fail, and what goes slower than it might
    Warn,
    /// And the run's begin and end
    Info,
    /// And every batch, fetch and further try
    Debug,
    /// And more
    Trace,
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for people
    Text,
    /// A JSON object per line
    Json,
}
