//! `imbed embed --cluster`: a plan on the cluster, from tables or images to a folder of Parquet files.

use std::{
    convert::Infallible,
    future::pending,
    pin::pin,
    time::{Duration, Instant},
};

use arrow_array::cast::AsArray;
use datafusion::{execution::runtime_env::RuntimeEnv, prelude::DataFrame};
use futures::{
    StreamExt,
    future::{Either, select},
};
use imbed::core::{Error, ErrorKind, FetchScope, ImageEmbedderDescriptor, Result, session::Request};
use imbed_ballista::{Cluster, Parts, save_parts};
use imbed_datafusion::{Imbed, cause};
use tokio::{runtime::Runtime, time::sleep};

use super::{
    output::{NO_IMAGE, Output, Written, report},
    runtime,
    table::table,
};
use crate::{
    args::EmbedArgs,
    commands::{embed, print, sql},
    download::Downloads,
    exit::{Blame, Failure, Outcome, Success},
    interrupt,
    progress::Progress,
};

/// How often the parts of a run are counted.
const LOOK: Duration = Duration::from_secs(2);

pub(in crate::commands) fn run(args: &EmbedArgs) -> Outcome {
    check_flags(args).usage()?;
    let parts = args.output.output.as_deref().map(folder).transpose().usage()?;
    let session = embed::session(args)?;
    let request = embed::request(args);
    let mut downloads = Downloads::new(args.messages.quiet, args.messages.json);
    session.fetch(&request, FetchScope::Everything, &mut downloads).fetched()?;
    let descriptor = session.resolve(&request).usage()?.descriptor;
    interrupt::listen().fatal()?;
    let runtime = runtime().fatal()?;
    let imbed = Imbed::new(session).with_weights_hashed(true);
    let outcome = work(&runtime, args, &imbed, &request, parts, descriptor.as_ref());
    sql::stop(runtime);
    outcome
}

fn work(
    runtime: &Runtime,
    args: &EmbedArgs,
    imbed: &Imbed,
    request: &Request,
    parts: Option<Parts>,
    descriptor: &dyn ImageEmbedderDescriptor,
) -> Outcome {
    let start = Instant::now();
    let table = runtime.block_on(sql::until_interrupted(table(args, imbed, request)))?;
    let Some(parts) = parts.map(|parts| parts.with_no_image(NO_IMAGE)) else {
        return runtime.block_on(explain(table));
    };
    if args.messages.explain {
        return runtime.block_on(explain(save_parts(table, parts)));
    }
    let (output, parts) = Output::begin(args, parts, table.schema().as_arrow(), descriptor.options().on_error)?;
    let most = args.on.partitions.unwrap_or(Cluster::PARTITIONS).get() as u64;
    let progress = Progress::of_parts(most, !args.messages.quiet && !args.messages.json);
    let saved = runtime.block_on(sql::until_interrupted(save(table, parts.clone(), &progress)));
    drop(progress);
    let written = match saved.and_then(|written| parts.tidy().fatal().map(|()| written)) {
        Ok(written) => written,
        Err(failure) => return Err(output.give_up(failure)),
    };
    output.finish(&written)?;
    report(args, &parts, &written, descriptor, start.elapsed())
}

async fn save(table: DataFrame, parts: Parts, progress: &Progress) -> Result<Written, Failure> {
    let runtime = table.task_ctx().runtime_env();
    let watching = pin!(watch(parts.clone(), &runtime, progress));
    let work = pin!(async {
        let mut written = Written::default();
        let mut batches = save_parts(table, parts.clone()).execute_stream().await.map_err(|e| cause(&e)).opened()?;
        while let Some(batch) = batches.next().await {
            written.take(&batch.map_err(|e| cause(&e)).fatal()?);
        }
        parts.check_made(&runtime).await.fatal()?;
        written.parts.sort();
        Ok(written)
    });
    match select(work, watching).await {
        Either::Left((written, _)) => written,
        Either::Right((never, _)) => match never {},
    }
}

/// Shows how many parts there are, as long as it is asked to. Results come at the end, so they tell nothing.
async fn watch(parts: Parts, runtime: &RuntimeEnv, progress: &Progress) -> Infallible {
    if !progress.is_seen() {
        return pending().await;
    }
    loop {
        // A place that does not answer is the run's to tell of.
        if let Ok(count) = parts.count(runtime).await {
            progress.set(count as u64, 0);
        }
        sleep(LOOK).await;
    }
}

/// Refuses what a cluster does not do.
fn check_flags(args: &EmbedArgs) -> Result<()> {
    let image = &args.image;
    let refused = [
        ("--errors-column", args.failures.errors_column.is_some(), "executors print the reasons with --on-error log"),
        ("--part-rows", args.output.part_rows.is_some(), "each task writes one part"),
        ("--format", args.output.format.is_some(), "the parts are Parquet files"),
        ("--threads", args.resources.threads.is_some(), "each executor uses the cores that it has"),
        ("--allow-urls", args.urls.allow_urls, "executors fetch from buckets alone: images('s3://…')"),
        ("--metrics-addr", args.messages.metrics_addr.is_some(), "executors count the rows, and have the flag, too"),
        ("--cache", args.reuse.cache.is_some(), "vectors are kept by runs on one machine"),
        ("--max-pixels", image.max_pixels.is_some(), "the usual limits hold"),
        ("--max-side", image.max_side.is_some(), "the usual limits hold"),
        ("--max-bytes", image.max_bytes.is_some(), "the usual limits hold"),
        ("--max-alloc", image.max_alloc.is_some(), "the usual limits hold"),
        ("--max-seconds", image.max_seconds.is_some(), "the usual limits hold"),
        ("--allow-truncated", image.allow_truncated, "a file that ends early is an error there"),
    ];
    let Some((flag, _, why)) = refused.into_iter().find(|(_, given, _)| *given) else { return Ok(()) };
    Err(Error::new(ErrorKind::BadOption, format!("{flag} and --cluster do not go together")).hint(why))
}

/// Where the parts go.
fn folder(output: &str) -> Result<Parts> {
    let is_file =
        !output.ends_with('/') && [".parquet", ".arrow", ".jsonl", ".npy"].iter().any(|e| output.ends_with(e));
    if output == "-" || is_file {
        let what = format!("-o {output}: a cluster writes a folder of Parquet files, not one file");
        return Err(Error::new(ErrorKind::BadInput, what).hint("name a folder, such as -o embeddings/"));
    }
    Parts::new(output)
}

async fn explain(table: DataFrame) -> Outcome {
    let batches = async { table.explain(false, false)?.collect().await }.await.map_err(|e| cause(&e)).usage()?;
    for batch in &batches {
        let Some(plans) = batch.columns().last().and_then(|column| column.as_string_opt::<i32>()) else { continue };
        for plan in plans.iter().flatten() {
            print(&format!("{plan}\n")).fatal()?;
        }
    }
    Ok(Success::Whole)
}
