//! What a user may type after `imbed cluster`, and what other commands take of a cluster.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf};

use clap::{Args, Subcommand};

// Lines of at most 79 characters: they are printed as they stand.

const CLUSTER_EXAMPLES: &str = "\
A cluster is one scheduler and any number of executors, each a process of this
program. The scheduler takes queries from clients and hands their tasks to the
executors; results are fetched from them.

  imbed cluster scheduler --bind 10.0.0.1:50050        # on one machine
  imbed cluster executor --scheduler 10.0.0.1:50050 \\
      --bind 10.0.0.2:50051 --gpus auto                # on each of the others
  imbed sql --cluster df://10.0.0.1:50050 \"SELECT …\"
  imbed embed s3://bucket/shard-*.parquet --column image \\
      --cluster df://10.0.0.1:50050 -o s3://bucket/embeddings/

All processes must reach the files by the same names: a bucket, or a folder
that is shared. Nothing is encrypted and nobody is asked who they are: keep the
ports inside a network that you trust.";

const SCHEDULER_HELP: &str = "\
The first line on standard output says where it listens:
  imbed cluster scheduler: listening on 127.0.0.1:50050

Exit codes:
  0 stopped with Ctrl-C or SIGTERM; 2 refused, such as a port that is taken;
  3 failed";

const EXECUTOR_HELP: &str = "\
The first line on standard output says that it is ready:
  imbed cluster executor: ready on 127.0.0.1:50051 for 127.0.0.1:50050

Each model is loaded once, whatever the number of slots: tasks share it, and
its GPUs. One slot keeps a GPU busy if images are read fast; two hide what a
task waits for at its start and its end. Keys of services and buckets are read
from this process's environment; they never travel.

Exit codes:
  0 stopped with Ctrl-C or SIGTERM, after the tasks under way; 2 refused, such
  as a GPU that is missing; 3 failed, such as a scheduler that is not there";

/// Turn images into vectors, in bulk: a folder or table of images becomes an embedding column.
/// Where the work is done.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
#[cfg_attr(not(feature = "cluster"), allow(dead_code))]
pub(crate) struct OnCluster {
    /// Run on this cluster instead of here: the scheduler's df://HOST:PORT; see `imbed cluster`
    #[arg(long, value_name = "df://HOST:PORT")]
    #[cfg_attr(not(feature = "cluster"), arg(hide = true))]
    pub(crate) cluster: Option<String>,

    /// Deal tables out to so many partitions, each a task for an executor [default: 32]
    #[arg(long, value_name = "N", requires = "cluster")]
    #[cfg_attr(not(feature = "cluster"), arg(hide = true))]
    pub(crate) partitions: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
#[command(after_help = CLUSTER_EXAMPLES)]
#[cfg_attr(not(feature = "cluster"), allow(dead_code))]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    pub(crate) command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
#[cfg_attr(not(feature = "cluster"), allow(dead_code))]
pub(crate) enum ClusterCommand {
    /// Take queries, plan them and hand their tasks to executors
    Scheduler(SchedulerArgs),
    /// Run tasks: read images, embed them, write vectors
    Executor(ExecutorArgs),
}

#[derive(Debug, Args)]
#[command(after_help = SCHEDULER_HELP)]
#[cfg_attr(not(feature = "cluster"), allow(dead_code))]
pub(crate) struct SchedulerArgs {
    /// Where to listen for executors and clients; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:50050")]
    pub(crate) bind: SocketAddr,

    /// Give an executor's tasks to others when it has said nothing for so long; at least 6
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) executor_timeout: u64,

    /// Print what is done, not only what goes wrong
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
#[command(after_help = EXECUTOR_HELP)]
#[cfg_attr(not(feature = "cluster"), allow(dead_code))]
pub(crate) struct ExecutorArgs {
    /// The scheduler's HOST:PORT
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
    pub(crate) scheduler: String,

    /// Where clients and other executors fetch results; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub(crate) bind: SocketAddr,

    /// Where the scheduler hands tasks out, at the same address; 0 takes a free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) control_port: u16,

    /// The name or address that they reach this machine by [default: that of --bind]
    #[arg(long, value_name = "HOST")]
    pub(crate) external_host: Option<String>,

    /// GPUs that the models may use: auto for all that the process sees, or a number; 0 is the processor
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    pub(crate) gpus: String,

    /// Tasks at once
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) task_slots: NonZeroUsize,

    /// Keep results here until they are fetched, one folder for each executor [default: a temporary folder]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) work_dir: Option<PathBuf>,

    /// How long to wait for the scheduler to be there
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) connect_timeout: u64,

    /// Serve the counters of this executor's models to Prometheus at /metrics of this address, such as 10.0.0.2:9464
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_addr: Option<SocketAddr>,

    /// Print what is done, not only what goes wrong
    #[arg(short, long)]
    pub(crate) verbose: bool,
}
