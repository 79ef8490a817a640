//! Tables in files, whatever their format: a schema now, record batches later.

use std::path::{Path, PathBuf};

use arrow_schema::SchemaRef;
use imbed::core::{Error, ErrorKind, Result};

use super::{
    batches::{Batches, Opened},
    csv, ipc, jsonl, npy, parquet,
};

/// A file that holds a table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its columns.
    pub(crate) schema: SchemaRef,
    /// Number of rows, where it is known before they are read.
    pub(crate) rows: Option<u64>,
    /// The format and its particulars, such as `Parquet, 3 row groups`.
    pub(crate) detail: String,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Parquet,
    IpcFile,
    IpcStream,
    Csv { delimiter: u8 },
    Jsonl,
    Npy,
}

impl Table {
    /// Whether `path` is a table by its extension.
    pub(crate) fn is_table(path: &Path) -> bool {
        matches!(format_of(path), Ok(Some(format)) if format != Format::Npy)
    }

    /// Reads the header, and whatever else the schema takes: CSV and JSON lines are read through once for their types.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if !path.is_file() {
            let what = if path.is_dir() { "is a folder, not a table" } else { "there is no such file" };
            return Err(Error::new(ErrorKind::BadInput, format!("{}: {what}", path.display())));
        }
        let format = format_of(path)?.ok_or_else(|| {
            Error::new(ErrorKind::BadInput, format!("{}: this is not a table", path.display()))
                .hint("tables are .parquet, .arrow, .feather, .arrows, .csv, .tsv, .jsonl and .ndjson files")
        })?;
        let opened = match format {
            Format::Parquet => parquet::open(path),
            Format::IpcFile => ipc::open_file(path),
            Format::IpcStream => ipc::open_stream(path),
            Format::Csv { delimiter } => csv::open(path, delimiter),
            Format::Jsonl => jsonl::open(path),
            Format::Npy => npy::open(path),
        };
        let Opened { schema, rows, detail } = opened.map_err(|e| e.context(path.display()))?;
        Ok(Self { path: path.to_owned(), schema, rows, detail, format })
    }

    /// Reads the columns with these indices, or all, in batches of bounded size.
    ///
    /// The batches' columns are in the order of the schema.
    pub(crate) fn read(&self, columns: Option<&[usize]>) -> Result<Batches> {
        let path = &self.path;
        let columns = columns.map(|columns| {
            let mut columns = columns.to_vec();
            columns.sort_unstable();
            columns.dedup();
            columns
        });
        let named = {
            let path = path.clone();
            move |e: Error| e.context(path.display())
        };
        let batches: Batches = match self.format {
            Format::Parquet => parquet::read(path, columns),
            Format::IpcFile => ipc::read_file(path, columns),
            Format::IpcStream => ipc::read_stream(path, columns),
            Format::Csv { delimiter } => csv::read(path, &self.schema, delimiter, columns),
            Format::Jsonl => jsonl::read(path, &self.schema, columns),
            Format::Npy => npy::read(path),
        }
        .map_err(&named)?;
        Ok(Box::new(batches.map(move |batch| batch.map_err(&named))))
    }
}

/// The format by extension; files and streams of Arrow IPC are told apart by how they begin.
fn format_of(path: &Path) -> Result<Option<Format>> {
    let Some(extension) = path.extension() else { return Ok(None) };
    Ok(Some(match extension.to_string_lossy().to_ascii_lowercase().as_str() {
        "parquet" | "pq" => Format::Parquet,
        "arrow" | "arrows" | "ipc" | "feather" => {
            if ipc::is_file(path).map_err(|e| Error::io(path.display(), e))? {
                Format::IpcFile
            } else {
                Format::IpcStream
            }
        }
        "csv" => Format::Csv { delimiter: b',' },
        "tsv" => Format::Csv { delimiter: b'\t' },
        "jsonl" | "ndjson" => Format::Jsonl,
        "npy" => Format::Npy,
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_table_lists_what_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.docx");
        std::fs::write(&file, b"").unwrap();
        assert!(Table::open(&file).unwrap_err().hint_text().unwrap().contains(".parquet"));
    }
}
