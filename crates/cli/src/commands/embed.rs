//! `imbed embed`: images become a column of vectors.

mod explain;
mod output;
mod run;

use std::{path::Path, sync::Arc};

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use imbed::{
    core::{
        Error, ErrorKind, FetchScope, Result, Session,
        image::DecodeOptions,
        options::{OnError, OptionMap},
        session::{Origin, Request, Resolved},
    },
    engine::Engine,
};

use self::{explain::explanation, output::Output, run::Run};
use super::{cluster, print};
use crate::{
    args::{EmbedArgs, ImageArgs},
    download::Downloads,
    exit::{Blame, Failure, Outcome, Success},
    interrupt, logs, metrics,
    sink::Target,
    source::Source,
    urls,
};

pub(crate) fn run(args: &EmbedArgs) -> Outcome {
    if args.on.cluster.is_some() {
        return cluster::embed(args);
    }
    let target = target(args).map_err(output::unopened).opened()?;
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
    let on_error = resolved.descriptor.options().on_error;
    let opened = Output::open(args, &target, &engine, source.schema(), &schema, on_error)?;
    Run::new(args, schema, on_error).go(&engine, source, opened, &server)
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

fn target(args: &EmbedArgs) -> Result<Option<Target>> {
    let output = &args.output;
    let target = output.output.as_deref().map(|o| Target::new(o, output)).transpose()?;
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
    limits.max_time = args.max_seconds.unwrap_or(limits.max_time);
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
