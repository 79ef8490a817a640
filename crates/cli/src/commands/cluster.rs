//! `imbed cluster`: the processes of a cluster; and what `--cluster` does elsewhere.

mod embed;
mod log;
mod output;
mod table;

use std::{future::Future, sync::Arc, time::Duration};

use datafusion::prelude::SessionContext;
use imbed::core::{Error, Result};
use imbed_ballista::{Cluster, Executor, ExecutorOptions, Gpus, Scheduler, SchedulerOptions, told_to_stop};
use imbed_datafusion::Imbed;
use tokio::runtime::{Builder, Runtime};

use super::{print, sql};
use crate::{
    args::{ClusterArgs, ClusterCommand, ExecutorArgs, OnCluster, SchedulerArgs},
    exit::{Blame, Failure, Outcome, Success},
    metrics::{Run, Server},
    progress::Progress,
};

pub(super) use embed::run as embed;

pub(crate) fn run(args: &ClusterArgs) -> Outcome {
    match &args.command {
        ClusterCommand::Scheduler(args) => {
            log::print(args.verbose).fatal()?;
            on_threads(scheduler(args))
        }
        ClusterCommand::Executor(args) => {
            log::print(args.verbose).fatal()?;
            sql::warnings::print(Arc::new(Progress::unseen(false))).fatal()?;
            Server::start(args.metrics_addr).usage()?.show(Run::of_queries);
            on_threads(executor(args))
        }
    }
}

fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread().enable_all().build().map_err(|e| Error::io("cannot start threads", e))
}

fn on_threads(work: impl Future<Output = Outcome>) -> Outcome {
    let runtime = runtime().fatal()?;
    let outcome = runtime.block_on(work);
    sql::stop(runtime);
    outcome
}

async fn scheduler(args: &SchedulerArgs) -> Outcome {
    let options = SchedulerOptions { bind: args.bind, executor_timeout: Duration::from_secs(args.executor_timeout) };
    let scheduler = Scheduler::bind(options).await.usage()?;
    let stop = told_to_stop().fatal()?;
    print(&format!("imbed cluster scheduler: listening on {}\n", scheduler.address().fatal()?)).fatal()?;
    scheduler.serve(stop).await.fatal()?;
    Ok(Success::Whole)
}

async fn executor(args: &ExecutorArgs) -> Outcome {
    let gpus = args.gpus.parse::<Gpus>().map_err(|why| {
        Error::new(imbed::core::ErrorKind::BadOption, format!("--gpus: {why}")).hint("give auto, 0, 1, 2, …")
    });
    let options = ExecutorOptions {
        scheduler: args.scheduler.clone(),
        bind: args.bind,
        control_port: args.control_port,
        external_host: args.external_host.clone(),
        task_slots: args.task_slots.get(),
        gpus: gpus.usage()?,
        work_dir: args.work_dir.clone(),
        connect_timeout: Duration::from_secs(args.connect_timeout),
    };
    // What is not there yet may be a matter of time; all else is a matter of asking differently.
    let executor = Executor::new(options).await.fetched()?;
    let ready = |address| {
        // Whoever started it may not want to know.
        let _ = print(&format!("imbed cluster executor: ready on {address} for {}\n", args.scheduler));
    };
    executor.run(ready).await.fatal()?;
    Ok(Success::Whole)
}

/// A session whose queries run on the cluster of `scheduler`.
pub(super) async fn connect(imbed: &Imbed, scheduler: &str, on: &OnCluster) -> Result<SessionContext, Failure> {
    let partitions = on.partitions.unwrap_or(Cluster::PARTITIONS);
    imbed_ballista::connect(imbed, &Cluster { scheduler: scheduler.to_owned(), partitions }).await.fetched()
}
