//! A group of files becomes a batch.

use std::{fs::File, io::Read, sync::Arc};

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::SchemaRef;
use datafusion::error::Result as PlanResult;
use imbed_core::{
    Error, Result,
    image::{Limits, sniff},
    options::OnError,
};
use imbed_engine::files;

use super::{
    Column,
    listing::{Entry, columns},
};
use crate::error::wrap;

/// Bytes that tell a format.
const HEAD: u64 = 1024;

/// Reads what `wanted` asks of `entries`, as a batch with `schema`.
pub(super) fn batch(
    entries: &[Entry],
    wanted: &[Column],
    schema: SchemaRef,
    on_error: OnError,
) -> PlanResult<RecordBatch> {
    let images = if wanted.contains(&Column::Image) {
        Some(entries.iter().map(|entry| image(entry, on_error)).collect::<Result<Vec<_>>>().map_err(wrap)?)
    } else {
        None
    };
    let [paths, sizes, modified] = columns(entries);
    let mut arrays = Vec::with_capacity(wanted.len());
    for column in wanted {
        arrays.push(match column {
            Column::Path => Arc::clone(&paths),
            Column::Size => Arc::clone(&sizes),
            Column::Modified => Arc::clone(&modified),
            Column::Format => formats(entries, images.as_deref()),
            Column::Image => Arc::new(BinaryArray::from_iter(images.iter().flatten())) as ArrayRef,
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(entries.len()));
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
}

fn image(entry: &Entry, on_error: OnError) -> Result<Option<Vec<u8>>> {
    let failed = |e: Error| {
        e.context(&entry.path)
            .hint("images(…, 'ignore') makes such images null and goes on; 'log' says which they were")
    };
    match files::read(&entry.path, &Limits::default()) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if on_error == OnError::Raise => Err(failed(error)),
        Err(error) => {
            if on_error == OnError::Log {
                tracing::warn!("{}: {}: {}", entry.path, error.kind(), error.message());
            }
            Ok(None)
        }
    }
}

/// The media type of each file, from its bytes where they were read.
fn formats(entries: &[Entry], images: Option<&[Option<Vec<u8>>]>) -> ArrayRef {
    let formats = entries.iter().enumerate().map(|(i, entry)| {
        let format = match images {
            Some(images) => images[i].as_deref().and_then(sniff),
            None => head(&entry.path).as_deref().and_then(sniff),
        };
        format.map(imbed_core::image::Format::media_type)
    });
    Arc::new(formats.collect::<StringArray>())
}

/// The first bytes of a file; `None` if it cannot be read.
fn head(path: &str) -> Option<Vec<u8>> {
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file()))?;
    let mut bytes = Vec::new();
    file.take(HEAD).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
