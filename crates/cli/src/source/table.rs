//! Tables in files, whatever their format: a schema now, record batches later.

use std::path::{Path, PathBuf};

use arrow_schema::SchemaRef;
use imbed::core::{Error, ErrorKind, Result};

use super::{
    batches::{Batches, Opened},
    csv, folder,
    guard::{guarded, guarded_batches},
    identity::TableId,
    ipc, jsonl, npy, parquet,
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
    /// The file as it was before it was opened.
    pub(in crate::source) id: TableId,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Parquet,
    IpcFile,
    IpcStream,
    Csv {
        delimiter: u8,
    },
    Jsonl,
    Npy,
    /// Of Parquet files.
    Folder,
}

impl Table {
    /// Whether `path` is a table by its extension.
    pub(crate) fn is_table(path: &Path) -> bool {
        matches!(format_of(path), Ok(Some(format)) if format != Format::Npy)
    }

    /// Reads the header, and whatever else the schema takes: CSV and JSON lines are read through once for their types.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let is_folder = path.is_dir() && folder::is_table(path);
        if !path.is_file() && !is_folder {
            let what = if path.is_dir() { "is a folder, not a table" } else { "there is no such file" };
            return Err(Error::new(ErrorKind::BadInput, format!("{}: {what}", path.display())));
        }
        let format = if is_folder { Some(Format::Folder) } else { format_of(path)? };
        let format = format.ok_or_else(|| {
            Error::new(ErrorKind::BadInput, format!("{}: this is not a table", path.display()))
                .hint("tables are .parquet, .arrow, .feather, .arrows, .csv, .tsv, .jsonl and .ndjson files")
        })?;
        let id = TableId::of(path);
        let opened = guarded(|| match format {
            Format::Parquet => parquet::open(path),
            Format::IpcFile => ipc::open_file(path),
            Format::IpcStream => ipc::open_stream(path),
            Format::Csv { delimiter } => csv::open(path, delimiter),
            Format::Jsonl => jsonl::open(path),
            Format::Npy => npy::open(path),
            Format::Folder => folder::open(path),
        });
        let Opened { schema, rows, detail } = opened.map_err(|e| e.context(path.display()))?;
        Ok(Self { path: path.to_owned(), schema, rows, detail, id, format })
    }

    /// What it weighs on disk.
    pub(crate) fn bytes(&self) -> Result<u64> {
        let bytes = match self.format {
            Format::Folder => folder::bytes(&self.path),
            _ => std::fs::metadata(&self.path).map(|metadata| metadata.len()).map_err(|e| Error::io("open", e)),
        };
        bytes.map_err(|e| e.context(self.path.display()))
    }

    /// Reads the columns with these indices, or all, in batches of bounded size.
    ///
    /// The batches' columns are in the order of the schema.
    pub(crate) fn read(&self, columns: Option<&[usize]>) -> Result<Batches> {
        self.read_from(columns, 0)
    }

    /// The same without the first `skip` rows. Of Parquet they are not read at all, of other formats they are passed over.
    pub(in crate::source) fn read_from(&self, columns: Option<&[usize]>, skip: u64) -> Result<Batches> {
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
        let batches = guarded(|| match self.format {
            Format::Parquet => parquet::read(path, columns, skip),
            Format::IpcFile => ipc::read_file(path, columns),
            Format::IpcStream => ipc::read_stream(path, columns),
            Format::Csv { delimiter } => csv::read(path, &self.schema, delimiter, columns),
            Format::Jsonl => jsonl::read(path, &self.schema, columns),
            Format::Npy => npy::read(path),
            Format::Folder => folder::read(path, columns),
        })
        .map_err(&named)?;
        let skip = if self.format == Format::Parquet { 0 } else { skip };
        Ok(Box::new(without(skip, guarded_batches(batches)).map(move |batch| batch.map_err(&named))))
    }
}

/// `batches` without their first rows.
fn without(mut skip: u64, batches: Batches) -> Batches {
    if skip == 0 {
        return batches;
    }
    Box::new(batches.filter_map(move |batch| match batch {
        Ok(batch) if skip >= batch.num_rows() as u64 => {
            skip -= batch.num_rows() as u64;
            None
        }
        Ok(batch) => {
            let first = std::mem::take(&mut skip) as usize;
            Some(Ok(batch.slice(first, batch.num_rows() - first)))
        }
        Err(error) => Some(Err(error)),
    }))
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
    fn a_table_is_read_from_any_row_on() {
        use arrow_array::{Int64Array, cast::AsArray, types::Int64Type};
        let dir = tempfile::tempdir().unwrap();
        let csv: String = std::iter::once("n\n".to_owned()).chain((0..1000).map(|n| format!("{n}\n"))).collect();
        std::fs::write(dir.path().join("t.csv"), csv).unwrap();
        let numbers = std::sync::Arc::new(Int64Array::from_iter_values(0..1000));
        let batch = arrow_array::RecordBatch::try_from_iter([("n", numbers as _)]).unwrap();
        let file = std::fs::File::create(dir.path().join("t.parquet")).unwrap();
        let properties = ::parquet::file::properties::WriterProperties::builder();
        let properties = properties.set_max_row_group_row_count(Some(300)).build();
        let mut writer = ::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        for name in ["t.csv", "t.parquet"] {
            let table = Table::open(&dir.path().join(name)).unwrap();
            for skip in [0, 1, 255, 256, 300, 599, 600, 999, 1000, 1001] {
                let batches = table.read_from(None, skip).unwrap();
                let rest = batches.flat_map(|b| b.unwrap().column(0).as_primitive::<Int64Type>().values().to_vec());
                assert_eq!(rest.collect::<Vec<_>>(), (skip as i64..1000).collect::<Vec<_>>(), "{name} {skip}");
            }
        }
    }

    #[test]
    fn a_file_that_is_no_table_lists_what_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.docx");
        std::fs::write(&file, b"").unwrap();
        assert!(Table::open(&file).unwrap_err().hint_text().unwrap().contains(".parquet"));
    }
}
