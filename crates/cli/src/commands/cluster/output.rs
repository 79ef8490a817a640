//! The folder of parts that `imbed embed --cluster` writes: taken hold of, gone on with, completed, and told of.

use std::time::Duration;

use arrow_array::{RecordBatch, cast::AsArray, types::UInt64Type};
use arrow_schema::Schema;
use imbed::core::{ImageEmbedderDescriptor, Result, arrow::Provenance, options::OnError};
use imbed_ballista::{Cluster, Parts};
use imbed_datafusion::ON_ERROR_HINT;
use serde_json::{Value, json};

use crate::{
    again,
    args::EmbedArgs,
    commands::print_json,
    exit::{Blame, Failure, Success},
    interrupt, show,
    sink::parts::{DealtPart, DealtParts, Mode, RunIdentity},
};

/// The column that says which rows came without an image; it is counted and not written.
pub(super) const NO_IMAGE: &str = "imbed: no image";

/// The folder while executors write to it.
pub(super) struct Output(DealtParts);

impl Output {
    /// Takes hold of the folder for rows of this `schema`, and tells `parts` what may be kept of it.
    pub(super) fn begin(
        args: &EmbedArgs,
        parts: Parts,
        schema: &Schema,
        on_error: OnError,
    ) -> Result<(Self, Parts), Failure> {
        let mode = match (args.output.resume, args.output.overwrite) {
            (true, _) => Mode::Resume,
            (false, true) => Mode::Overwrite,
            (false, false) => Mode::New,
        };
        let identity = identity(args, schema);
        // Under `raise` no row may be null because it failed.
        let whole_only = args.output.retry_failed || on_error == OnError::Raise;
        let parts = parts.with_earlier(identity.hash(), whole_only);
        let output = DealtParts::begin(&parts.shown(), identity, mode).opened()?;
        Ok((Self(output), parts))
    }

    /// All is written.
    pub(super) fn finish(self, written: &Written) -> Result<(), Failure> {
        self.0.finish(&written.parts, written.failed).fatal()
    }

    /// Ends before all is done, because of `failure`: says what is kept, and how to go on.
    pub(super) fn give_up(self, failure: Failure) -> Failure {
        let kept = self.0.kept().map(|(parts, place)| {
            format!(
                "{} {} kept in {place}; to go on:\n{}",
                show::count(parts, "part"),
                if parts == 1 { "is" } else { "are" },
                again::command()
            )
        });
        match (by_flags(failure), kept) {
            (Failure::Interrupted, Some(kept)) => Failure::Stopped(kept),
            (_, Some(kept)) if interrupt::asked() => Failure::Stopped(kept),
            (Failure::Fatal(error), Some(kept)) => Failure::Fatal(again::with_hint(error, &kept)),
            (failure, _) => failure,
        }
    }
}

/// `failure` with a hint for a command line where it has one for a query: executors know of queries alone.
fn by_flags(failure: Failure) -> Failure {
    const FLAG: &str = "--on-error ignore (or log) makes such rows null and goes on";
    match failure {
        Failure::Fatal(error) => {
            let hint = error.hint_text().map(|hint| hint.replace(ON_ERROR_HINT, FLAG));
            Failure::Fatal(match hint {
                Some(hint) => error.hint(hint),
                None => error,
            })
        }
        failure => failure,
    }
}

/// All that decides what is written, beside the rows of the inputs.
fn identity(args: &EmbedArgs, schema: &Schema) -> RunIdentity {
    let vectors = args.output.output_column.as_str();
    let column = |name: &str| schema.field_with_name(name).ok();
    let made = column(vectors).and_then(|field| Provenance::from_metadata(field.metadata())).map(|made| {
        json!({
            "provider": made.provider,
            "model": made.model,
            "options": made.options,
            "weights": made.weights,
            "version": made.version,
            "recipe": made.recipe,
            "normalized": made.normalized,
        })
    });
    let columns = schema.fields().iter().filter(|field| field.name() != NO_IMAGE);
    let columns: Vec<Value> = columns.map(|field| json!(format!("{}: {}", field.name(), field.data_type()))).collect();
    RunIdentity::new(json!({
        "inputs": args.inputs,
        "vectors": made,
        "columns": columns,
        "output_column": vectors,
        "key": args.input.key,
        "column": args.input.column,
        "keep_image": args.input.keep_image,
        "limit": args.input.limit,
        // By what a part is the same part.
        "partitions": args.on.partitions.unwrap_or(Cluster::PARTITIONS),
    }))
}

/// What the executors say that they wrote.
#[derive(Debug, Default)]
pub(super) struct Written {
    rows: u64,
    failed: u64,
    /// Of the rows, those of parts that an earlier run has written.
    kept: u64,
    pub(super) parts: Vec<DealtPart>,
}

impl Written {
    pub(super) fn take(&mut self, batch: &RecordBatch) {
        let number = |name: &str| batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<UInt64Type>());
        let paths = batch.column_by_name("path").and_then(|c| c.as_string_opt::<i32>());
        let (Some(rows), Some(failed), Some(bytes), Some(kept), Some(paths)) =
            (number("count"), number("failed"), number("bytes"), number("kept"), paths)
        else {
            return;
        };
        for row in 0..batch.num_rows() {
            self.rows += rows.value(row);
            self.failed += failed.value(row);
            self.kept += kept.value(row);
            self.parts.push(DealtPart {
                path: paths.value(row).to_owned(),
                rows: rows.value(row),
                bytes: bytes.value(row),
            });
        }
    }
}

/// The summary.
pub(super) fn report(
    args: &EmbedArgs,
    parts: &Parts,
    written: &Written,
    descriptor: &dyn ImageEmbedderDescriptor,
    elapsed: Duration,
) -> Result<Success, Failure> {
    if args.messages.json {
        let outputs: Vec<_> =
            written.parts.iter().map(|part| json!({ "path": part.path, "bytes": part.bytes })).collect();
        print_json(&json!({
            "rows": written.rows,
            "failed": written.failed,
            "resumed": written.kept,
            "seconds": elapsed.as_secs_f64(),
            "provider": descriptor.provider(),
            "model": descriptor.model(),
            "dimensions": descriptor.dimensions().size,
            "outputs": outputs,
        }))
        .fatal()?;
    } else if !args.messages.quiet {
        let bytes = written.parts.iter().map(|part| part.bytes).sum();
        let some = |n: u64, what: &str| if n > 0 { format!(", {} {what}", show::thousands(n)) } else { String::new() };
        eprintln!(
            "{}{}{}: {}, {} in {} of {}",
            show::count(written.rows, "row"),
            some(written.kept, "kept from before"),
            some(written.failed, "failed"),
            show::time(elapsed),
            show::bytes(bytes),
            show::count(written.parts.len() as u64, "part"),
            parts.shown(),
        );
    }
    Ok(if written.failed > 0 { Success::WithFailedRows } else { Success::Whole })
}
