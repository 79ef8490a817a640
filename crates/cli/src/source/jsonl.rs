//! JSON lines: one object per line. Types are inferred from all of them.

use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use arrow_json::{ReaderBuilder, reader::infer_json_schema};
use arrow_schema::SchemaRef;
use imbed::core::{Error, Result};

use super::batches::{Batches, MAX_ROWS, Opened, unreadable};

pub(super) fn open(path: &Path) -> Result<Opened> {
    let (schema, rows) = infer_json_schema(file(path)?, None).map_err(unreadable)?;
    Ok(Opened { schema: Arc::new(schema), rows: Some(rows as u64), detail: "JSON lines".to_owned() })
}

pub(super) fn read(path: &Path, schema: &SchemaRef, columns: Option<Vec<usize>>) -> Result<Batches> {
    let schema = match columns {
        Some(columns) => Arc::new(schema.project(&columns).map_err(unreadable)?),
        None => Arc::clone(schema),
    };
    // A column that holds numbers here and text there was inferred as text: such numbers become text.
    let reader = ReaderBuilder::new(schema).with_batch_size(MAX_ROWS).with_coerce_primitive(true);
    let reader = reader.build(file(path)?).map_err(unreadable)?;
    Ok(Box::new(reader.map(|batch| batch.map_err(unreadable))))
}

fn file(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|e| Error::io("open", e))
}
