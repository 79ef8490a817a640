//! What a failing row does is the caller's choice.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::Schema;
use imbed_core::{Result, options::OnError};
use imbed_engine::{Chunk, EmbeddedChunk, Images};

use super::always;
use crate::{
    Behaviour,
    behaviour::{Check, ensure},
    bench::{Bench, column, rows},
    journal,
    pictures::{pictures, pngs},
};

/// The row whose image is broken.
const BAD: usize = 1;

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "on-error",
    promise: "on_error = raise names the row and stops; log and ignore make it null, with and without a line in the log",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    for on_error in [OnError::Raise, OnError::Log, OnError::Ignore] {
        // Found again in the log, and nobody else's.
        let label = format!("{}-{on_error}-broken.png", bench.subject.name);
        let result = run(bench, on_error, &label);
        let logged = journal::contains(&label);
        check_one(on_error, &label, result, logged).map_err(|e| e.during(format_args!("on_error = {on_error}")))?;
    }
    Ok(())
}

fn check_one(on_error: OnError, label: &str, result: Result<EmbeddedChunk>, logged: bool) -> Check {
    if on_error == OnError::Raise {
        let Err(error) = result else { return Err("the run went on".into()) };
        let named = error.message().contains(&format!("row {BAD}")) && error.message().contains(label);
        ensure!(named, "the message does not name the row and its file: {error}");
        ensure!(error.hint_text().is_some(), "the message has no next step: {error}");
        return Ok(());
    }
    let chunk = result?;
    let vectors = rows(&chunk.embeddings);
    let nulls: Vec<usize> = (0..vectors.len()).filter(|row| vectors[*row].is_none()).collect();
    ensure!(nulls == [BAD], "the rows {nulls:?} are null, not row {BAD} alone");
    let failed: Vec<usize> = chunk.errors.iter().map(|e| e.row).collect();
    ensure!(failed == [BAD], "the rows {failed:?} are reported, not row {BAD} alone");
    ensure!(logged == (on_error == OnError::Log), "the row is {}in the log", if logged { "" } else { "not " });
    Ok(())
}

fn run(bench: &Bench, on_error: OnError, label: &str) -> Result<EmbeddedChunk> {
    let mut files: Vec<_> = pngs(&pictures(4)?)?.into_iter().map(Some).collect();
    files[BAD] = Some(b"this is not an image".to_vec());
    let labels: ArrayRef = Arc::new(StringArray::from_iter_values(
        (0..files.len()).map(|row| if row == BAD { label.to_owned() } else { format!("{row}.png") }),
    ));
    let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)
        .map_err(|e| imbed_core::Error::new(imbed_core::ErrorKind::Internal, e.to_string()))?;
    let chunk = Chunk { batch, images: Images::Encoded(column(&files)), labels: Some(labels), first_row: None };
    let engine = bench.engine(&[("on_error", &on_error.to_string())])?;
    engine
        .embed_stream([Ok(chunk)])?
        .next()
        .unwrap_or_else(|| Err(imbed_core::Error::new(imbed_core::ErrorKind::Internal, "the run gave nothing back")))
}
