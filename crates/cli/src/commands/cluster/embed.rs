//! `imbed embed --cluster`: a plan on the cluster, from tables or images to a folder of Parquet files.

use std::{
    convert::Infallible,
    future::pending,
    pin::pin,
    time::{Duration, Instant},
};

use arrow_array::cast::AsArray;
use arrow_schema::{DataType, Schema};
use datafusion::{
    execution::runtime_env::RuntimeEnv,
    logical_expr::{Expr, ident, lit},
    prelude::{DataFrame, ParquetReadOptions, SessionContext},
};
use futures::{
    StreamExt,
    future::{Either, select},
};
use imbed::core::{
    Error, ErrorKind, FetchScope, ImageEmbedderDescriptor, Result,
    arrow::{BytesColumn, ImageColumn},
    session::Request,
};
use imbed_ballista::{Cluster, Parts, save_parts};
use imbed_datafusion::{ImageContext, Imbed, cause, is_url, store_table};
use tokio::{runtime::Runtime, time::sleep};

use super::{
    connect,
    output::{NO_IMAGE, Output, Written, report},
    runtime,
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

/// The rows that are written, on the cluster.
async fn table(args: &EmbedArgs, imbed: &Imbed, request: &Request) -> Result<DataFrame, Failure> {
    let scheduler = args.on.cluster.as_deref().unwrap_or_default();
    let context = connect(imbed, scheduler, &args.on).await?;
    let source = source(&context, &args.inputs).await.opened()?;
    embedded(args, source, |image| imbed.embed(image, request)).usage()
}

async fn save(table: DataFrame, parts: Parts, progress: &Progress) -> Result<Written, Failure> {
    let runtime = table.task_ctx().runtime_env();
    let watching = pin!(watch(parts.clone(), &runtime, progress));
    let work = pin!(async {
        let mut written = Written::default();
        let mut batches = save_parts(table, parts).execute_stream().await.map_err(|e| cause(&e)).opened()?;
        while let Some(batch) = batches.next().await {
            written.take(&batch.map_err(|e| cause(&e)).fatal()?);
        }
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

/// The rows, and what is known of their images.
struct Source {
    table: DataFrame,
    /// They are files, listed with their paths, and not rows of tables.
    files: bool,
}

/// What `inputs` mean: tables, or places with images.
async fn source(context: &SessionContext, inputs: &[String]) -> Result<Source> {
    let is_table = |input: &&String| [".parquet", ".pq"].iter().any(|e| input.ends_with(e));
    let tables = inputs.iter().filter(is_table).count();
    if tables == inputs.len() {
        return Ok(Source { table: self::tables(context, inputs).await?, files: false });
    }
    let other = inputs.iter().find(|input| {
        let lists = [".txt", ".list", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".arrow", ".feather"];
        lists.iter().any(|end| input.ends_with(end))
    });
    if let Some(input) = other.or_else(|| inputs.iter().find(|input| *input == "-")) {
        return Err(Error::new(ErrorKind::BadInput, format!("{input}: a cluster reads Parquet tables and images"))
            .hint("make a Parquet table of it first"));
    }
    if tables > 0 {
        return Err(Error::new(ErrorKind::BadInput, "tables and images are mixed")
            .hint("embed them one after the other, into two folders"));
    }
    let mut all = Vec::new();
    for input in inputs {
        all.push(context.read_images(input).await.map_err(|e| cause(&e))?);
    }
    Ok(Source { table: union(all)?, files: true })
}

/// The rows of all `inputs`, which are Parquet tables here or in buckets.
async fn tables(context: &SessionContext, inputs: &[String]) -> Result<DataFrame> {
    let failed = |e: datafusion::error::DataFusionError| cause(&e);
    let (urls, paths): (Vec<&String>, Vec<&String>) = inputs.iter().partition(|input| is_url(input));
    let mut parts = Vec::new();
    if !paths.is_empty() {
        let options = ParquetReadOptions { file_extension: "", ..ParquetReadOptions::default() };
        let paths: Vec<String> = paths.into_iter().cloned().collect();
        parts.push(context.read_parquet(paths, options).await.map_err(failed)?);
    }
    for url in urls {
        let table = store_table(context, url).await.map_err(failed)?;
        parts.push(context.read_table(table).map_err(failed)?);
    }
    union(parts)
}

/// The rows of all `tables`.
fn union(tables: Vec<DataFrame>) -> Result<DataFrame> {
    let mut tables = tables.into_iter();
    let first = tables.next().ok_or_else(|| Error::new(ErrorKind::BadInput, "there is no input"))?;
    tables.try_fold(first, DataFrame::union).map_err(|e| cause(&e))
}

/// The table that is written: the key, the other columns, the vectors, and which rows had no image.
fn embedded(
    args: &EmbedArgs,
    Source { table, files }: Source,
    embed: impl Fn(Expr) -> datafusion::error::Result<Expr>,
) -> Result<DataFrame> {
    let schema = table.schema().inner().clone();
    let column = if files { "image".to_owned() } else { image_column(&schema, args.input.column.as_deref())? };
    let mut carried: Vec<&str> = if files {
        vec!["path"]
    } else {
        schema.fields().iter().map(|field| field.name().as_str()).filter(|name| *name != column).collect()
    };
    if args.input.keep_image {
        carried.push(&column);
    }
    if let Some(key) = args.input.key.as_deref() {
        let place = carried.iter().position(|name| *name == key).ok_or_else(|| {
            Error::new(ErrorKind::BadInput, format!("there is no column '{key}' to be the key"))
                .hint(format!("there are {}", carried.join(", ")))
        })?;
        carried[..=place].rotate_right(1);
    }
    let output = args.output.output_column.as_str();
    if carried.contains(&output) {
        return Err(Error::new(ErrorKind::BadInput, format!("there is a column '{output}' already"))
            .hint("choose another name with --output-column=NAME"));
    }
    let failed = |e: datafusion::error::DataFusionError| cause(&e);
    let vectors = embed(ident(column.as_str())).map_err(failed)?.alias(output);
    // A file of a folder is an image: if it cannot be read, that is a failure.
    let none = if files { lit(false) } else { ident(column.as_str()).is_null() };
    let columns = carried.into_iter().map(ident).chain([vectors, none.alias(NO_IMAGE)]);
    let table = match args.input.limit {
        Some(limit) => table.limit(0, Some(usize::try_from(limit).unwrap_or(usize::MAX))).map_err(failed)?,
        None => table,
    };
    table.select(columns.collect::<Vec<_>>()).map_err(failed)
}

/// The column called `asked`, or else the only one that holds images, or else the one called `image`.
fn image_column(schema: &Schema, asked: Option<&str>) -> Result<String> {
    let names = || schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ");
    if let Some(asked) = asked {
        return match schema.field_with_name(asked) {
            Ok(field) => Ok(field.name().clone()),
            Err(_) => Err(Error::new(ErrorKind::BadInput, format!("there is no column '{asked}'"))
                .hint(format!("there are {}", names()))),
        };
    }
    let holds = |field: &&arrow_schema::FieldRef| {
        BytesColumn::accepts(field.data_type()) || ImageColumn::accepts(field) || is_bytes_and_path(field.data_type())
    };
    let candidates: Vec<_> = schema.fields().iter().filter(holds).collect();
    match candidates.as_slice() {
        [only] => Ok(only.name().clone()),
        _ if schema.field_with_name("image").is_ok() => Ok("image".to_owned()),
        _ => Err(Error::new(ErrorKind::BadInput, "which column holds the images is not clear")
            .hint(format!("say so with --column NAME; there are {}", names()))),
    }
}

/// Whether this is how Hugging Face `datasets` stores images.
fn is_bytes_and_path(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Struct(fields) if fields.find("bytes").is_some() && fields.find("path").is_some())
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
