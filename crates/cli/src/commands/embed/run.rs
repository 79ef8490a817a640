//! A run of `imbed embed` from its first chunk to its summary.

use std::{
    collections::BTreeMap,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use console::style;
use imbed::{
    core::{Error, ErrorKind, Result, options::OnError},
    engine::{CancelHandle, Chunk, EmbedStream, EmbeddedChunk, Engine, MetricsSnapshot},
};

use super::output::{Opened, Output};
use crate::{
    args::{EmbedArgs, LogLevel},
    commands::print_json,
    exit::{Blame, Failure, Outcome, Success},
    interrupt, logs,
    metrics::{self, Server},
    progress::Progress,
    sink::parts::{Tally, walk},
    source::Source,
    summary::{EXAMPLES, Summary},
};

/// Why a row is null that did not fail, for the column of reasons.
const NO_IMAGE: &str = "null: the input has no image in this row";

/// How long rows that are under way are waited for after the first Ctrl-C. Who ends a process with a signal often waits for 30
/// seconds before killing it.
const GRACE: Duration = Duration::from_secs(20);

/// A run that has begun.
pub(super) struct Run<'a> {
    args: &'a EmbedArgs,
    schema: SchemaRef,
    on_error: OnError,
    examples: Vec<String>,
    write: Duration,
}

impl<'a> Run<'a> {
    pub(super) fn new(args: &'a EmbedArgs, schema: SchemaRef, on_error: OnError) -> Self {
        Self { args, schema, on_error, examples: Vec::new(), write: Duration::ZERO }
    }

    pub(super) fn go(mut self, engine: &Engine, source: Source, opened: Opened, server: &Server) -> Outcome {
        let start = Instant::now();
        let messages = &self.args.messages;
        let progress = Progress::new(source.total, !messages.quiet && !messages.json);
        let (skipped, total) = (source.skipped.clone(), source.total);
        let Opened { mut output, pool, notes } = opened;
        let resuming = !pool.is_empty();
        let mut chunks = walk(source, pool, notes, self.most_rows());
        // Where nothing is missing the model is not loaded.
        let first = if resuming { chunks.next() } else { None };
        let metrics = if resuming && first.is_none() {
            Ok(MetricsSnapshot::default())
        } else {
            self.embed(engine, first.into_iter().chain(chunks), &mut output, &progress, (server, total))
        };
        let metrics = match metrics.and_then(|metrics| output.take_rest().fatal().map(|()| metrics)) {
            Ok(metrics) if output.has_all() => metrics,
            ended => {
                progress.finish();
                return Err(output.give_up(ended.err().unwrap_or(Failure::Interrupted)));
            }
        };
        let finishing = Instant::now();
        let (kept, parts) = (output.kept(), output.parts());
        let outputs = output.finish()?;
        self.write += finishing.elapsed();
        progress.finish();
        let plan = engine.plan();
        let summary = Summary {
            metrics,
            kept,
            parts: parts.map(|parts| parts.max(1)),
            examples: self.examples,
            skipped,
            elapsed: start.elapsed(),
            write: self.write,
            provider: plan.provider.clone(),
            model: plan.model.clone(),
            dimensions: plan.dimensions,
            outputs,
        };
        report(self.args, &summary)
    }

    /// Rows of a chunk: parts end where chunks do, so small parts need small chunks.
    fn most_rows(&self) -> usize {
        self.args.output.part_rows.map_or(usize::MAX, |rows| usize::try_from(rows.get()).unwrap_or(usize::MAX))
    }

    /// Embeds all chunks and writes what comes of them.
    fn embed(
        &mut self,
        engine: &Engine,
        chunks: impl Iterator<Item = Result<Chunk>> + Send + 'static,
        output: &mut Output,
        progress: &Progress,
        (server, total): (&Server, Option<u64>),
    ) -> Result<MetricsSnapshot, Failure> {
        let mut stream = engine.embed_stream(chunks).fatal()?;
        server.show(|| metrics::Run::new(stream.metrics_handle(), engine.plan(), total));
        let cancel = stream.cancel_handle();
        if output.keeps() {
            let (progress, quiet) = (progress.clone(), self.args.messages.quiet);
            interrupt::stops(move || stop_soon(&cancel, &progress, quiet));
        } else {
            interrupt::stops(move || cancel.cancel());
        }
        self.drain(&mut stream, output, progress)?;
        Ok(stream.metrics())
    }

    fn drain(&mut self, stream: &mut EmbedStream, output: &mut Output, progress: &Progress) -> Result<(), Failure> {
        while let Some(chunk) = stream.next() {
            let chunk = chunk.fatal()?;
            let tally = self.take_errors(&chunk, progress);
            let start = Instant::now();
            self.batch(chunk).and_then(|batch| output.write(&batch, &tally)).fatal()?;
            self.write += start.elapsed();
            let metrics = stream.metrics();
            progress.set(output.kept_rows() + metrics.rows, metrics.failed());
        }
        Ok(())
    }

    fn take_errors(&mut self, chunk: &EmbeddedChunk, progress: &Progress) -> Tally {
        let mut failed = BTreeMap::new();
        for error in &chunk.errors {
            *failed.entry(error.error.kind()).or_default() += 1;
            if self.examples.len() < EXAMPLES {
                self.examples.push(error.to_string());
            }
            if self.on_error == OnError::Log && !logs::writes(LogLevel::Warn) {
                progress.line(&format!("{} {error}", style("warning:").for_stderr().yellow().bold()));
            }
        }
        let nulls = chunk.embeddings.null_count().saturating_sub(chunk.errors.len()) as u64;
        Tally { nulls, failed }
    }

    /// The carried columns, the vectors and, where asked for, the reasons.
    fn batch(&self, chunk: EmbeddedChunk) -> Result<RecordBatch> {
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

/// The first Ctrl-C: the walk over the input ends by itself, and what is under way is waited for, for a while.
fn stop_soon(cancel: &CancelHandle, progress: &Progress, quiet: bool) {
    if !quiet {
        progress.line("stopping: rows that are under way are finished and kept; Ctrl-C again stops at once");
    }
    let late = cancel.clone();
    let waiting = thread::Builder::new().name("imbed-grace".to_owned()).spawn(move || {
        thread::sleep(GRACE);
        late.cancel();
    });
    if waiting.is_err() {
        cancel.cancel();
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
    Ok(if summary.failed() > 0 { Success::WithFailedRows } else { Success::Whole })
}
