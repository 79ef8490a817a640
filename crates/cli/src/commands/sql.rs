//! `imbed sql`: queries over images and tables.

mod copy;
mod results;
mod tables;
pub(super) mod warnings;

use std::{
    future::Future,
    io::Read,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use datafusion::{
    error::DataFusionError,
    logical_expr::LogicalPlan,
    physical_plan::{ExecutionPlan, SendableRecordBatchStream, execute_stream},
    prelude::{DataFrame, SessionContext},
    sql::parser::Statement,
};
use futures::{
    StreamExt,
    future::{Either, select},
};
use imbed::core::{Error, ErrorKind, FetchScope, Result, Session};
use imbed_datafusion::{ImageContext, Imbed, cause, embedded_rows, failed_rows, hold_copy, with_file_tables};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
};

use self::{copy::Staging, results::Printer};
use super::cluster;
use crate::{
    args::SqlArgs,
    download::Downloads,
    exit::{Blame, Failure, Outcome, Success},
    interrupt,
    metrics::{Run, Server},
    panics::caught,
    progress::Progress,
    show,
};

/// How often the progress is looked at.
const TICK: Duration = Duration::from_millis(200);

pub(crate) fn run(args: &SqlArgs) -> Outcome {
    let text = query(&args.query).usage()?;
    metrics(args).usage()?.show(Run::of_queries);
    let mut session = super::session(args.config.as_deref()).usage()?;
    if args.offline {
        session.set_offline(true);
    }
    let progress = Arc::new(Progress::unseen(!args.quiet));
    if !args.quiet {
        warnings::print(Arc::clone(&progress)).fatal()?;
    }
    interrupt::listen().fatal()?;
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::io("cannot start the query's threads", e))
        .fatal()?;
    let staging = Staging::default();
    let queried = || runtime.block_on(until_interrupted(statements(args, session, &text, &staging, &progress)));
    let outcome = caught(queried).unwrap_or_else(|panic| Err(panicked(&*panic)).fatal());
    // What was stopped in the middle cleans up behind itself when its tasks are dropped.
    stop(runtime);
    drop(staging);
    outcome
}

/// Readers of tables are other people's, and some panic on a damaged file.
fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let why = format!("the query panicked: {}", text.unwrap_or("no message"));
    Error::new(ErrorKind::Internal, why).hint("a table of it may be damaged: `imbed inspect FILE` looks at one")
}

/// The server of the counters, if one is wanted.
fn metrics(args: &SqlArgs) -> Result<Server> {
    if args.metrics_addr.is_some() && args.on.cluster.is_some() {
        return Err(Error::new(ErrorKind::BadOption, "--metrics-addr and --cluster do not go together")
            .hint("executors count the rows, and have the flag, too"));
    }
    Server::start(args.metrics_addr)
}

/// The statements themselves, or those on standard input.
fn query(query: &str) -> Result<String> {
    if query != "-" {
        return Ok(query.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|e| Error::io("standard input", e))?;
    Ok(text)
}

/// What `work` gives, unless the user stops it first.
pub(super) async fn until_interrupted<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let stopped = Arc::new(Notify::new());
    let notify = Arc::clone(&stopped);
    interrupt::stops(move || notify.notify_one());
    match select(pin!(work), pin!(stopped.notified())).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(Failure::Interrupted),
    }
}

pub(super) fn stop(runtime: Runtime) {
    runtime.shutdown_timeout(Duration::from_secs(5));
}

async fn statements(args: &SqlArgs, session: Session, text: &str, staging: &Staging, progress: &Progress) -> Outcome {
    let mut failed = 0;
    let context = context(args, session).await?;
    for (name, file) in &args.tables {
        tables::register(&context, name, file).await.opened()?;
    }
    let statements = context.image_statements(text).map_err(|e| cause(&e)).usage()?;
    if statements.is_empty() {
        let nothing = Error::new(ErrorKind::BadInput, "there is no statement in the query");
        return Err(Failure::Usage(
            nothing.hint("imbed sql \"SELECT path, size FROM images('photos')\"; imbed sql --help shows more"),
        ));
    }
    for statement in statements {
        let copies = matches!(statement, Statement::CopyTo(_));
        let start = Instant::now();
        let mut plan = context.image_plan(statement).await.map_err(|e| unplanned(&e)).fetched()?;
        let staged = staging.redirect(&mut plan, args.on.cluster.is_some()).usage()?;
        // On a cluster others write.
        let held = match args.on.cluster {
            Some(_) => None,
            None => hold_copy(&context, &mut plan).map_err(|e| cause(&e)).usage()?,
        };
        let table = context.execute_logical_plan(plan).await.map_err(|e| cause(&e)).opened()?;
        let ran = match run_statement(args, &context, table, copies, progress).await {
            Ok(ran) => ran,
            Err(failure) => {
                if let Some(held) = held {
                    held.abort().await;
                }
                return Err(failure);
            }
        };
        if let Some(staged) = staged {
            staged.commit().fatal()?;
        }
        if let Some(held) = held {
            held.commit().await.fatal()?;
        }
        failed += ran.failed;
        if !args.quiet && (ran.written.is_some() || ran.failed > 0) {
            let written = ran.written.map(|rows| format!("{} written in ", show::count(rows, "row")));
            let failed = match ran.failed {
                0 => String::new(),
                rows => format!(", {} failed and null", show::count(rows as u64, "row")),
            };
            eprintln!("{}{}{failed}", written.unwrap_or_default(), show::time(start.elapsed()));
        }
    }
    Ok(if failed > 0 { Success::WithFailedRows } else { Success::Whole })
}

/// A session with our functions, which downloads models as they are named.
async fn context(args: &SqlArgs, session: Session) -> Result<SessionContext, Failure> {
    let downloads = Mutex::new(Downloads::new(args.quiet, args.json));
    let imbed = Imbed::new(session).with_weights_hashed(true).with_fetch(move |session, request| {
        let mut downloads = downloads.lock().unwrap_or_else(PoisonError::into_inner);
        session.fetch(request, FetchScope::Everything, &mut *downloads)
    });
    let context = match &args.on.cluster {
        Some(scheduler) => cluster::connect(&imbed, scheduler, &args.on).await?,
        None => imbed.context(),
    };
    Ok(with_file_tables(context))
}

/// Why a statement cannot be run, with what this program can do about it.
fn unplanned(error: &DataFusionError) -> Error {
    let error = cause(error);
    let missing = error.message().strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found"));
    match missing.map(|name| name.rsplit('.').next().unwrap_or(name).to_owned()) {
        Some(name) => error.hint(format!(
            "name a file in quotes (FROM 'x.parquet'), images with images('folder'), or give a file this name: \
             --table {name}=FILE"
        )),
        None => error,
    }
}

/// What a statement did.
#[derive(Debug, Default)]
struct Ran {
    /// The rows that a `COPY` wrote.
    written: Option<u64>,
    /// The rows that failed and are null.
    failed: usize,
}

/// The next batch, and how far the embedding is until it comes.
async fn watched(
    batches: &mut SendableRecordBatchStream,
    plan: &dyn ExecutionPlan,
    progress: &Progress,
) -> Option<Result<RecordBatch, DataFusionError>> {
    loop {
        match tokio::time::timeout(TICK, batches.next()).await {
            Ok(batch) => return batch,
            Err(_) => {
                if let Some(rows) = embedded_rows(plan) {
                    progress.set(rows as u64, failed_rows(plan) as u64);
                }
            }
        }
    }
}

/// Runs one statement and prints what it gives.
async fn run_statement(
    args: &SqlArgs,
    context: &SessionContext,
    table: DataFrame,
    copies: bool,
    progress: &Progress,
) -> Result<Ran, Failure> {
    let explains = matches!(table.logical_plan(), LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
    let plan = table.create_physical_plan().await.map_err(|e| cause(&e)).opened()?;
    let mut batches = execute_stream(Arc::clone(&plan), context.task_ctx()).map_err(|e| cause(&e)).opened()?;
    let mut printer = Printer::new(batches.schema(), args, explains);
    let mut ran = Ran::default();
    while let Some(batch) = watched(&mut batches, plan.as_ref(), progress).await {
        let batch = batch.map_err(|e| cause(&e)).fatal()?;
        if copies {
            ran.written = Some(ran.written.unwrap_or(0) + results::count(&batch));
            ran.failed += results::failed(&batch) as usize;
        } else if !printer.take(&batch).fatal()? {
            break;
        }
    }
    progress.finish();
    printer.finish().fatal()?;
    ran.failed += failed_rows(plan.as_ref());
    Ok(ran)
}
