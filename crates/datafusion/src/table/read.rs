//! A group of files becomes a batch.

use std::{fs::File, io::Read, sync::Arc};

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::SchemaRef;
use datafusion::{error::Result as PlanResult, physical_plan::metrics::Count};
use imbed_core::{
    Error, Result,
    image::{Format, Limits, sniff},
    options::OnError,
};
use imbed_engine::files;

use super::{
    Column,
    listing::{Entry, columns},
    place::absolute,
};
use crate::error::wrap;

/// Bytes that tell a format.
pub(super) const HEAD: u64 = 1024;

/// Reads what `wanted` asks of `entries`, as a batch with `schema`.
pub(super) fn batch(
    entries: &[Entry],
    wanted: &[Column],
    schema: SchemaRef,
    reading: &Reading,
) -> PlanResult<RecordBatch> {
    let images = if wanted.contains(&Column::Image) {
        Some(entries.iter().map(|entry| image(entry, reading)).collect::<Result<Vec<_>>>().map_err(wrap)?)
    } else {
        None
    };
    let formats: Vec<Option<Format>> = match &images {
        _ if !wanted.contains(&Column::Format) => Vec::new(),
        Some(images) => images.iter().map(|image| image.as_deref().and_then(sniff)).collect(),
        None => entries.iter().map(|entry| head(&reading.path(entry)).as_deref().and_then(sniff)).collect(),
    };
    assemble(entries, wanted, schema, images.as_deref(), &formats)
}

/// The batch of `entries` with what was read of them, where it is wanted.
pub(super) fn assemble<B: AsRef<[u8]>>(
    entries: &[Entry],
    wanted: &[Column],
    schema: SchemaRef,
    images: Option<&[Option<B>]>,
    formats: &[Option<Format>],
) -> PlanResult<RecordBatch> {
    let [paths, sizes, modified] = columns(entries);
    let mut arrays = Vec::with_capacity(wanted.len());
    for column in wanted {
        arrays.push(match column {
            Column::Path => Arc::clone(&paths),
            Column::Size => Arc::clone(&sizes),
            Column::Modified => Arc::clone(&modified),
            Column::Format => {
                Arc::new(formats.iter().map(|format| format.map(Format::media_type)).collect::<StringArray>())
            }
            Column::Image => {
                Arc::new(images.unwrap_or_default().iter().map(Option::as_ref).collect::<BinaryArray>()) as ArrayRef
            }
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(entries.len()));
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
}

fn image(entry: &Entry, reading: &Reading) -> Result<Option<Vec<u8>>> {
    match files::read(&reading.path(entry), &Limits::default()) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) => reading.take(error.context(&entry.path)),
    }
}

/// How images are read, and what becomes of those that cannot be.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) on_error: OnError,
    /// The folder that relative paths start from, if it is not this process's.
    pub(super) base: Option<Arc<str>>,
    /// How many are null for it.
    pub(super) count: Count,
}

impl Reading {
    /// Where a file of this machine is read.
    fn path(&self, entry: &Entry) -> String {
        absolute(self.base.as_deref(), &entry.path)
    }

    /// A null in the place of an image, or the error if it stops the query.
    pub(super) fn take<T>(&self, error: Error) -> Result<Option<T>> {
        match self.on_error {
            OnError::Raise => {
                let null = "images(…, 'ignore') makes such images null and goes on; 'log' says which they were";
                let hint = error.hint_text().map_or_else(|| null.to_owned(), |hint| format!("{hint}; or {null}"));
                return Err(error.hint(hint));
            }
            OnError::Log => tracing::warn!("{}: {}", error.kind(), error.message()),
            OnError::Ignore => {}
        }
        self.count.add(1);
        Ok(None)
    }
}

/// The first bytes of a file; `None` if it cannot be read.
fn head(path: &str) -> Option<Vec<u8>> {
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file()))?;
    let mut bytes = Vec::new();
    file.take(HEAD).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
