//! `imbed embed`: images become a column of vectors.

use std::{
    fmt::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use console::style;
use imbed::{
    core::{
        Error, ErrorKind, FetchScope, Result, Session,
        image::DecodeOptions,
        options::{OnError, OptionMap},
        session::{Origin, Request, Resolved},
    },
    engine::{EmbedStream, EmbeddedChunk, Engine},
};

use super::{cluster, print, print_json};
use crate::{
    args::{EmbedArgs, ImageArgs, LogLevel},
    download::Downloads,
    exit::{Blame, Failure, Outcome, Success},
    interrupt, logs, metrics,
    progress::Progress,
    sink::{Sink, Target},
    source::{Skipped, Source},
    summary::{EXAMPLES, Summary},
    urls,
};

pub(crate) fn run(args: &EmbedArgs) -> Outcome {
    if args.on.cluster.is_some() {
        return cluster::embed(args);
    }
    let target = target(args).usage()?;
    let server = metrics::Server::start(args.messages.metrics_addr.filter(|_| !args.messages.explain)).usage()?;
    let session = session(args)?;
    let request = request(args);
    // Its configuration is enough to plan with, so a mistake elsewhere is found before a large download.
    let mut downloads = Downloads::of_configuration(args.messages.quiet, args.messages.json);
    session.fetch(&request, FetchScope::Configuration, &mut downloads).fetched()?;
    drop(downloads);
    let mut resolved = session.resolve(&request).usage()?;
    check_errors_column(args, resolved.descriptor.options().on_error).usage()?;
    let source = Source::open(&args.inputs, &args.input, args.urls.allow_urls).usage()?;
    check_names(args, source.schema()).usage()?;
    let cache = cache(args, &session);
    let mut engine = engine(args, &resolved, cache)?;
    if args.messages.explain {
        print(&explanation(args, &source, target.as_ref(), &resolved, &engine)).fatal()?;
        return Ok(Success::Whole);
    }
    let Some(target) = target else {
        return Err(Failure::Usage(
            Error::new(ErrorKind::BadInput, "there is no output").hint("name one with -o FILE"),
        ));
    };
    tell_choice(args, &session, &resolved);
    interrupt::listen().fatal()?;
    let mut downloads = Downloads::new(args.messages.quiet, args.messages.json);
    session.fetch(&request, FetchScope::Everything, &mut downloads).fetched()?;
    if downloads.any() {
        // The weights say more than their configuration did.
        resolved = session.resolve(&request).usage()?;
        engine = self::engine(args, &resolved, cache)?;
    }
    let vectors = engine.field(&args.output.output_column).fatal()?;
    let schema = output_schema(source.schema(), vectors, args.failures.errors_column.as_deref());
    let sink = target.open(&schema, &args.output.output_column).usage()?;
    Run {
        args,
        server,
        schema,
        sink,
        on_error: resolved.descriptor.options().on_error,
        examples: Vec::new(),
        write: Duration::ZERO,
    }
    .go(&engine, source)
}

/// The linked providers under the configuration, offline if the user said so.
pub(super) fn session(args: &EmbedArgs) -> Result<Session, Failure> {
    let mut session = super::session(args.model.config.as_deref()).usage()?;
    if args.model.offline {
        session.set_offline(true);
    }
    Ok(session)
}

/// The folder where vectors are kept, if they are.
fn cache<'a>(args: &'a EmbedArgs, session: &'a Session) -> Option<&'a Path> {
    let reuse = &args.reuse;
    reuse.cache.as_deref().or_else(|| session.cache()).filter(|_| !reuse.no_cache)
}

fn engine(args: &EmbedArgs, resolved: &Resolved, cache: Option<&Path>) -> Result<Engine, Failure> {
    Engine::builder(Arc::clone(&resolved.descriptor))
        .decode(decode_options(&args.image))
        .cpu_threads(args.resources.threads.map(std::num::NonZeroUsize::get))
        .cache(cache.map(Path::to_owned))
        .fetch(urls::fetch(&args.urls))
        .build()
        .usage()
}

/// Why a row is null that did not fail, for the column of reasons.
const NO_IMAGE: &str = "null: the input has no image in this row";

/// A run that has begun.
struct Run<'a> {
    args: &'a EmbedArgs,
    server: metrics::Server,
    schema: SchemaRef,
    sink: Box<dyn Sink>,
    on_error: OnError,
    examples: Vec<String>,
    write: Duration,
}

impl Run<'_> {
    fn go(mut self, engine: &Engine, source: Source) -> Outcome {
        let start = Instant::now();
        let messages = &self.args.messages;
        let progress = Progress::new(source.total, !messages.quiet && !messages.json);
        let (skipped, total) = (source.skipped.clone(), source.total);
        let mut stream = engine.embed_stream(source.into_chunks()).fatal()?;
        self.server.show(|| metrics::Run::new(stream.metrics_handle(), engine.plan(), total));
        let cancel = stream.cancel_handle();
        interrupt::stops(move || cancel.cancel());
        if let Err(failure) = self.drain(&mut stream, &progress) {
            progress.finish();
            return Err(if interrupt::asked() { Failure::Interrupted } else { failure });
        }
        let metrics = stream.metrics();
        drop(stream);
        if interrupt::asked() {
            return Err(Failure::Interrupted);
        }
        let Self { args, sink, examples, mut write, .. } = self;
        let finishing = Instant::now();
        let outputs = sink.finish().fatal()?;
        write += finishing.elapsed();
        progress.finish();
        let plan = engine.plan();
        let summary = Summary {
            metrics,
            examples,
            skipped,
            elapsed: start.elapsed(),
            write,
            provider: plan.provider.clone(),
            model: plan.model.clone(),
            dimensions: plan.dimensions,
            outputs,
        };
        report(args, &summary)
    }

    fn drain(&mut self, stream: &mut EmbedStream, progress: &Progress) -> Result<(), Failure> {
        while let Some(chunk) = stream.next() {
            let chunk = chunk.fatal()?;
            self.take_errors(&chunk, progress);
            let start = Instant::now();
            self.output(chunk).and_then(|batch| self.sink.write(&batch)).fatal()?;
            self.write += start.elapsed();
            let metrics = stream.metrics();
            progress.set(metrics.rows, metrics.failed());
        }
        Ok(())
    }

    fn take_errors(&mut self, chunk: &EmbeddedChunk, progress: &Progress) {
        for error in &chunk.errors {
            if self.examples.len() < EXAMPLES {
                self.examples.push(error.to_string());
            }
            if self.on_error == OnError::Log && !logs::writes(LogLevel::Warn) {
                progress.line(&format!("{} {error}", style("warning:").for_stderr().yellow().bold()));
            }
        }
    }

    /// The carried columns, the vectors and, where asked for, the reasons.
    fn output(&self, chunk: EmbeddedChunk) -> Result<RecordBatch> {
        let rows = chunk.batch.num_rows();
        let mut columns = chunk.batch.columns().to_vec();
        if self.args.failures.errors_column.is_some() {
            let reason = |row| chunk.embeddings.is_null(row).then(|| NO_IMAGE.to_owned());
            let mut reasons: Vec<Option<String>> = (0..rows).map(reason).collect();
            for error in &chunk.errors {
                if let Some(reason) = reasons.get_mut(error.row) {
                    *reason = Some(format!("{}: {}", error.error.kind(), error.error.message()));
                }
            }
            columns.push(Arc::new(chunk.embeddings));
            columns.push(Arc::new(StringArray::from(reasons)) as ArrayRef);
        } else {
            columns.push(Arc::new(chunk.embeddings));
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|e| Error::new(ErrorKind::Internal, format!("the output does not fit its schema: {e}")).source(e))
    }
}

fn report(args: &EmbedArgs, summary: &Summary) -> Outcome {
    if args.messages.json {
        print_json(&summary.to_json()).fatal()?;
    }
    if logs::is_json() {
        summary.log();
    } else if !args.messages.json && !args.messages.quiet {
        eprintln!("{summary}");
    }
    Ok(if summary.metrics.failed() > 0 { Success::WithFailedRows } else { Success::Whole })
}

fn target(args: &EmbedArgs) -> Result<Option<Target>> {
    let output = &args.output;
    let target = output.output.as_deref().map(|o| Target::new(o, output.format, output.overwrite)).transpose()?;
    if args.messages.json && target.as_ref().is_some_and(Target::is_stdout) {
        return Err(Error::new(ErrorKind::BadInput, "--json and -o - both want standard output")
            .hint("write the rows to a file, or leave --json out: the summary is on stderr then"));
    }
    Ok(target)
}

/// What the user asks of the model: the flags over `--option`.
pub(super) fn request(args: &EmbedArgs) -> Request {
    let (model, image, failures, resources) = (&args.model, &args.image, &args.failures, &args.resources);
    let mut options = OptionMap::default();
    for (name, value) in &model.options {
        options.set(name.as_str(), value);
    }
    let flags = [
        ("normalize", &model.normalize),
        ("dimensions", &model.dimensions),
        ("pooling", &model.pooling),
        ("dtype", &model.dtype),
        ("image_size", &model.image_size),
        ("alpha", &image.alpha),
        ("exif_orientation", &image.exif_orientation),
        ("icc", &image.icc),
        ("frame", &image.frame),
        ("decode", &image.decode),
        ("on_error", &failures.on_error),
        ("max_retries", &failures.max_retries),
        ("batch_size", &resources.batch_size),
        ("device", &resources.device),
        ("concurrency", &resources.concurrency),
        ("num_gpus", &resources.num_gpus),
    ];
    if args.reuse.no_dedupe {
        options.set("dedupe", "false");
    }
    for (name, value) in flags {
        if let Some(value) = value {
            options.set(name, value);
        }
    }
    Request { provider: model.provider.clone(), model: model.model.clone(), options }
}

fn decode_options(args: &ImageArgs) -> DecodeOptions {
    let mut options = DecodeOptions { allow_truncated: args.allow_truncated, ..DecodeOptions::default() };
    let limits = &mut options.limits;
    limits.max_pixels = args.max_pixels.unwrap_or(limits.max_pixels);
    limits.max_side = args.max_side.unwrap_or(limits.max_side);
    limits.max_bytes = args.max_bytes.unwrap_or(limits.max_bytes);
    limits.max_alloc = args.max_alloc.unwrap_or(limits.max_alloc);
    options
}

fn check_errors_column(args: &EmbedArgs, on_error: OnError) -> Result<()> {
    if args.failures.errors_column.is_some() && on_error == OnError::Raise {
        return Err(Error::new(
            ErrorKind::BadOption,
            "--errors-column has nothing to hold while the first failed row stops the run",
        )
        .hint("add --on-error log or --on-error ignore"));
    }
    Ok(())
}

/// Refuses new columns that are called like carried ones.
fn check_names(args: &EmbedArgs, carried: &Schema) -> Result<()> {
    let vectors = ("--output-column", Some(args.output.output_column.as_str()));
    let errors = ("--errors-column", args.failures.errors_column.as_deref());
    for (option, name) in [vectors, errors] {
        let Some(name) = name else { continue };
        if carried.field_with_name(name).is_ok() || (option == errors.0 && vectors.1 == Some(name)) {
            return Err(Error::new(ErrorKind::BadInput, format!("there is a column '{name}' already"))
                .hint(format!("choose another name with {option}=NAME")));
        }
    }
    Ok(())
}

/// The carried columns, the vectors, the reasons.
fn output_schema(carried: &Schema, vectors: Field, errors: Option<&str>) -> SchemaRef {
    let errors = errors.map(|name| Arc::new(Field::new(name, DataType::Utf8, true)));
    let fields = carried.fields().iter().cloned().chain([Arc::new(vectors)]).chain(errors);
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// One line, for those who named no model: what runs, and that there is better.
fn tell_choice(args: &EmbedArgs, session: &Session, resolved: &Resolved) {
    let nobody_chose = resolved.provider_origin == Origin::Default && resolved.model_origin == Origin::Default;
    if nobody_chose && !args.messages.quiet && !logs::is_json() {
        let model = resolved.descriptor.model();
        let stronger = session.registry().get(resolved.descriptor.provider()).ok();
        let stronger = match stronger.and_then(|provider| provider.default_model()).filter(|name| *name != model) {
            Some(name) => format!("--model {name} is stronger (downloaded once)"),
            None => "--model names another".to_owned(),
        };
        eprintln!("using the built-in model {model}; it works offline; {stronger}, see `imbed models`");
    }
}

/// What would be done, and why.
fn explanation(
    args: &EmbedArgs,
    source: &Source,
    target: Option<&Target>,
    resolved: &Resolved,
    engine: &Engine,
) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<20}{value}");
    };
    for input in &source.description {
        line("source", input);
    }
    if !source.skipped.is_empty() {
        line("skipped", &skipped(&source.skipped));
    }
    let carried: Vec<&str> = source.schema().fields().iter().map(|f| f.name().as_str()).collect();
    line("carried columns", if carried.is_empty() { "none".to_owned() } else { carried.join(", ") }.as_str());
    line("output", &target.map_or_else(|| "none named (-o FILE)".to_owned(), ToString::to_string));
    line("provider chosen", &resolved.provider_origin.to_string());
    line("model chosen", &resolved.model_origin.to_string());
    if let Some(addresses) = urls::describe(&args.urls) {
        line("addresses", &addresses);
    }
    if let Some(cache) = engine.cache() {
        line("cache", &cache.display().to_string());
    }
    text + &engine.plan().to_string()
}

fn skipped(skipped: &Skipped) -> String {
    skipped.iter().map(|(kind, n)| format!("{n} {kind}")).collect::<Vec<_>>().join(", ")
}
