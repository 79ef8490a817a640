//! `imbed sql`: queries over images and tables.

mod results;
mod tables;
pub(super) mod warnings;

use std::{
    future::Future,
    io::Read,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use datafusion::{
    error::DataFusionError,
    logical_expr::LogicalPlan,
    prelude::{DataFrame, SessionContext},
    sql::parser::Statement,
};
use futures::{
    StreamExt,
    future::{Either, select},
};
use imbed::core::{Error, FetchScope, Result, Session};
use imbed_datafusion::{ImageContext, Imbed, cause};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
};

use self::results::Printer;
use super::cluster;
use crate::{
    args::SqlArgs,
    download::Downloads,
    exit::{Blame, Failure, Outcome, Success},
    interrupt,
};

pub(crate) fn run(args: &SqlArgs) -> Outcome {
    let text = query(&args.query).usage()?;
    let mut session = super::session(args.config.as_deref()).usage()?;
    if args.offline {
        session.set_offline(true);
    }
    warnings::print(args.quiet).fatal()?;
    interrupt::listen().fatal()?;
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::io("cannot start the query's threads", e))
        .fatal()?;
    let outcome = runtime.block_on(until_interrupted(statements(args, session, &text)));
    // What was stopped in the middle cleans up behind itself when its tasks are dropped.
    stop(runtime);
    outcome
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
pub(super) async fn until_interrupted(work: impl Future<Output = Outcome>) -> Outcome {
    let stopped = Arc::new(Notify::new());
    let notify = Arc::clone(&stopped);
    interrupt::stops(move || notify.notify_one());
    match select(pin!(work), pin!(stopped.notified())).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => Err(Failure::Interrupted),
    }
}

pub(super) fn stop(runtime: Runtime) {
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
}

async fn statements(args: &SqlArgs, session: Session, text: &str) -> Outcome {
    let context = context(args, session).await?;
    for (name, file) in &args.tables {
        tables::register(&context, name, file).await.usage()?;
    }
    let statements = context.image_statements(text).map_err(|e| cause(&e)).usage()?;
    for statement in statements {
        let copies = matches!(statement, Statement::CopyTo(_));
        let start = Instant::now();
        let table = plan(&context, statement).await.map_err(|e| cause(&e)).fetched()?;
        let rows = run_statement(args, table, copies).await?;
        if let (Some(rows), false) = (rows, args.quiet) {
            let rows = crate::show::count(rows, "row");
            eprintln!("{rows} written in {}", crate::show::time(start.elapsed()));
        }
    }
    Ok(Success::Whole)
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
    Ok(context.enable_url_table())
}

async fn plan(context: &SessionContext, statement: Statement) -> Result<DataFrame, DataFusionError> {
    let plan = context.state().statement_to_plan(statement).await?;
    context.execute_logical_plan(plan).await
}

/// Runs one statement and prints what it gives. The number of rows that a `COPY` wrote.
async fn run_statement(args: &SqlArgs, table: DataFrame, copies: bool) -> Result<Option<u64>, Failure> {
    let explains = matches!(table.logical_plan(), LogicalPlan::Explain(_) | LogicalPlan::Analyze(_));
    let mut batches = table.execute_stream().await.map_err(|e| cause(&e)).usage()?;
    let mut printer = Printer::new(batches.schema(), args, explains);
    let mut written = None;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|e| cause(&e)).fatal()?;
        if copies {
            written = Some(written.unwrap_or(0) + results::count(&batch));
        } else if !printer.take(&batch).fatal()? {
            break;
        }
    }
    printer.finish().fatal()?;
    Ok(written)
}
