//! A folder of Parquet files with the same columns, as `imbed embed -o FOLDER/` writes it: one table, in the order of their names.

use std::{
    fs,
    path::{Path, PathBuf},
};

use arrow_schema::{Schema, SchemaRef};
use imbed::core::{Error, ErrorKind, Result};

use super::{
    batches::{Batches, Opened},
    parquet,
};

pub(super) fn open(folder: &Path) -> Result<Opened> {
    let files = files(folder)?;
    let mut first: Option<(SchemaRef, &Path)> = None;
    let mut rows = Some(0);
    for file in &files {
        let opened = parquet::open(file).map_err(|e| e.context(name(file)))?;
        rows = rows.zip(opened.rows).map(|(all, more): (u64, u64)| all + more);
        match &first {
            None => first = Some((opened.schema, file)),
            Some((schema, _)) if schema.fields() == opened.schema.fields() => {}
            Some((_, other)) => {
                return Err(Error::new(
                    ErrorKind::BadInput,
                    format!("{}: its columns are not those of {}", name(file), name(other)),
                )
                .hint("name one file of the folder"));
            }
        }
    }
    let (schema, _) = first.ok_or_else(|| nothing(folder))?;
    // What a file says of itself alone is nothing to say of all.
    let schema = Schema::new(schema.fields().clone());
    let detail = format!("folder of {}", crate::show::count(files.len() as u64, "Parquet file"));
    Ok(Opened { schema: schema.into(), rows, detail })
}

pub(super) fn read(folder: &Path, columns: Option<Vec<usize>>) -> Result<Batches> {
    let files = files(folder)?;
    let batches = files.into_iter().flat_map(move |file| -> Batches {
        match parquet::read(&file, columns.clone(), 0) {
            Ok(batches) => batches,
            Err(error) => Box::new(std::iter::once(Err(error.context(name(&file))))),
        }
    });
    Ok(Box::new(batches))
}

/// The Parquet files in `folder` that readers of such folders take, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|e| Error::io("open", e))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Error::io("open", e))?.path();
        let hidden = name(&path).starts_with(['.', '_']);
        if !hidden && path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether there is such a file in `folder`.
pub(super) fn is_table(folder: &Path) -> bool {
    files(folder).is_ok_and(|files| !files.is_empty())
}

/// What all files of the folder weigh.
pub(super) fn bytes(folder: &Path) -> Result<u64> {
    let sizes = files(folder)?.into_iter().map(|file| fs::metadata(file).map_err(|e| Error::io("open", e)));
    sizes.map(|metadata| metadata.map(|m| m.len())).sum()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn nothing(folder: &Path) -> Error {
    Error::new(ErrorKind::BadInput, format!("{}: there is no Parquet file in this folder", folder.display()))
}
