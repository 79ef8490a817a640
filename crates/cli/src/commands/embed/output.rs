//! Where the rows of a run go: a file that is written in one go, or parts with which a later run can go on.

use std::sync::mpsc::{self, Sender};

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};
use console::style;
use imbed::{
    core::{Error, ErrorKind, Result, options::OnError},
    engine::Engine,
};
use serde_json::json;

use crate::{
    again,
    args::EmbedArgs,
    exit::{Blame, Failure},
    interrupt, show,
    sink::{
        Sink, Target, Written,
        parts::{Counts, Note, Opening, Parts, Pool, RunIdentity, Tally},
    },
};

/// An output that is being made.
pub(super) enum Output {
    Whole(Box<dyn Sink>),
    Parts(Box<Parts>),
}

/// An output, what may be kept of it, and where the walk over the input tells it what it finds.
pub(super) struct Opened {
    pub(super) output: Output,
    pub(super) pool: Pool,
    pub(super) notes: Sender<Note>,
}

impl Output {
    pub(super) fn open(
        args: &EmbedArgs,
        target: &Target,
        engine: &Engine,
        carried: &Schema,
        schema: &SchemaRef,
        on_error: OnError,
    ) -> Result<Opened, Failure> {
        let (notes, heard) = mpsc::channel();
        let vectors = args.output.output_column.as_str();
        let in_one_go = |sink| Opened { output: Self::Whole(sink), pool: Pool::default(), notes: notes.clone() };
        let parts = match target {
            Target::Whole(target) => return target.open(schema, vectors).map(in_one_go).usage(),
            Target::Parts(parts) => parts,
        };
        let engine = match engine.identity() {
            Ok(identity) => identity,
            // Vectors whose number type is chosen anew by each run can be written, but not gone on with.
            Err(refused) if refused.kind() == ErrorKind::BadOption => {
                return match parts.as_whole() {
                    Some(target) => target.open(schema, vectors).map(in_one_go).usage(),
                    None => Err(Failure::Usage(refused.context("parts that a later run goes on with"))),
                };
            }
            Err(error) => return Err(error).fatal(),
        };
        let column = |field: &Field| {
            let nullable = if field.is_nullable() { ", nullable" } else { "" };
            format!("{}: {}{nullable}", field.name(), field.data_type())
        };
        let columns: Vec<String> = carried.fields().iter().map(|field| column(field)).collect();
        let identity = RunIdentity::new(json!({
            "inputs": args.inputs,
            "vectors": engine,
            "columns": columns,
            "output_column": vectors,
            "errors_column": args.failures.errors_column,
            "key": args.input.key,
            "column": args.input.column,
            "keep_image": args.input.keep_image,
        }));
        let quiet = args.messages.quiet;
        let warn = |text: &str| {
            if !quiet {
                eprintln!("{} {text}", style("warning:").for_stderr().yellow().bold());
            }
        };
        let opening = Opening {
            identity,
            schema,
            vectors,
            // Under `raise` no row may be null because it failed.
            retry_failed: args.output.retry_failed || on_error == OnError::Raise,
            notes: heard,
            warn: &warn,
        };
        let (parts, pool) = parts.open(opening).map_err(unopened).opened()?;
        Ok(Opened { output: Self::Parts(Box::new(parts)), pool, notes })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch, tally: &Tally) -> Result<()> {
        match self {
            Self::Whole(sink) => sink.write(batch),
            Self::Parts(parts) => parts.write(batch, tally),
        }
    }

    /// Takes in what the walk has told behind the last chunk.
    pub(super) fn take_rest(&mut self) -> Result<()> {
        match self {
            Self::Whole(_) => Ok(()),
            Self::Parts(parts) => parts.take_rest(),
        }
    }

    /// Whether the whole input is in it.
    pub(super) fn has_all(&self) -> bool {
        match self {
            Self::Whole(_) => !interrupt::asked(),
            Self::Parts(parts) => parts.has_all(),
        }
    }

    /// Rows that were there before.
    pub(super) fn kept(&self) -> Counts {
        match self {
            Self::Whole(_) => Counts::default(),
            Self::Parts(parts) => parts.kept().clone(),
        }
    }

    /// How many rows were there before.
    pub(super) fn kept_rows(&self) -> u64 {
        match self {
            Self::Whole(_) => 0,
            Self::Parts(parts) => parts.kept().rows,
        }
    }

    /// How many parts it is made of; `None` where there are none.
    pub(super) fn parts(&self) -> Option<usize> {
        match self {
            Self::Whole(_) => None,
            Self::Parts(parts) => Some(parts.count()),
        }
    }

    /// Whether what is under way when the user stops the run is worth waiting for.
    pub(super) fn keeps(&self) -> bool {
        matches!(self, Self::Parts(_))
    }

    pub(super) fn finish(self) -> Result<Vec<Written>, Failure> {
        match self {
            Self::Whole(sink) => sink.finish().fatal(),
            Self::Parts(parts) => {
                let safe = parts.safe();
                parts.finish().map_err(|error| Failure::Fatal(with_next_step(error, safe)))
            }
        }
    }

    /// Ends before all is done, because of `failure`. What is done is kept, where it can be.
    pub(super) fn give_up(self, failure: Failure) -> Failure {
        let stopped = interrupt::asked() || matches!(failure, Failure::Interrupted);
        let Self::Parts(parts) = self else {
            return if stopped { Failure::Interrupted } else { failure };
        };
        match (failure, parts.give_up()) {
            (_, Some(safe)) if stopped => Failure::Stopped(next_step(&safe)),
            (_, None) if stopped => Failure::Interrupted,
            (Failure::Fatal(error), safe) => Failure::Fatal(with_next_step(error, safe)),
            (failure, _) => failure,
        }
    }
}

/// What stopped a run before it began, with what to do about it where that is to wait.
pub(super) fn unopened(error: Error) -> Error {
    if !error.is_temporary() {
        return error;
    }
    again::with_hint(error, &format!("nothing was changed; to try again:\n{}", again::same()))
}

fn with_next_step(error: Error, safe: Option<(u64, String)>) -> Error {
    match safe {
        Some(safe) => again::with_hint(error, &next_step(&safe)),
        None if error.is_temporary() => {
            again::with_hint(error, &format!("no row is kept so far; to try again:\n{}", again::same()))
        }
        None => error,
    }
}

fn next_step((rows, place): &(u64, String)) -> String {
    format!(
        "{} {} kept in {place}; to go on:\n{}",
        show::count(*rows, "row"),
        if *rows == 1 { "is" } else { "are" },
        again::command()
    )
}
