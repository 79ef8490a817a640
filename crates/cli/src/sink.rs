//! Outputs: record batches with vectors become one file, whole or not at all.

pub(crate) mod atomic;
mod ipc;
mod jsonl;
mod npy;
mod parquet;

use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use imbed::core::{Error, ErrorKind, Result};

use crate::{address, args::OutputFormat};

/// Takes batches, in order.
pub(crate) trait Sink {
    /// Writes one batch of the schema that the sink was opened with.
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// Completes the output and puts it in its place. A sink that is dropped instead leaves nothing behind.
    fn finish(self: Box<Self>) -> Result<Vec<Written>>;
}

/// A file that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// Where it is; `-` is standard output.
    pub(crate) path: PathBuf,
    /// Its size in bytes.
    pub(crate) bytes: u64,
}

/// Where the output goes and how, checked.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// The file; `-` is standard output.
    pub(crate) path: PathBuf,
    format: OutputFormat,
    overwrite: bool,
}

impl Target {
    /// Decides the format and refuses what could not be written in the end.
    pub(crate) fn new(output: &str, format: Option<OutputFormat>, overwrite: bool) -> Result<Self> {
        address::refuse_output(output)?;
        let path = PathBuf::from(output);
        let format = if output == "-" {
            if format.is_some_and(|f| f != OutputFormat::Jsonl) {
                return Err(Error::new(ErrorKind::BadInput, "standard output takes JSON lines only")
                    .hint("leave --format out, or name a file"));
            }
            OutputFormat::Jsonl
        } else {
            match format.or_else(|| format_of(&path)) {
                Some(format) => format,
                None => {
                    return Err(Error::new(
                        ErrorKind::BadInput,
                        format!("{output}: the extension names no format of output"),
                    )
                    .hint("use .parquet, .arrow, .jsonl or .npy, or say --format"));
                }
            }
        };
        let target = Self { path, format, overwrite };
        if !target.is_stdout() {
            for path in target.files() {
                atomic::check(&path, overwrite)?;
            }
        }
        Ok(target)
    }

    /// Whether rows go to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        self.path == Path::new("-")
    }

    /// The files that will be written.
    fn files(&self) -> Vec<PathBuf> {
        match self.format {
            OutputFormat::Npy => vec![self.path.clone(), npy::keys_path(&self.path)],
            _ => vec![self.path.clone()],
        }
    }

    /// Creates the temporary file. Columns that the format cannot hold are refused here. `vectors` names their column.
    pub(crate) fn open(&self, schema: &SchemaRef, vectors: &str) -> Result<Box<dyn Sink>> {
        let create = || atomic::AtomicFile::create(&self.path, self.overwrite);
        Ok(match self.format {
            OutputFormat::Parquet => Box::new(parquet::ParquetSink::new(create()?, schema, Some(vectors))?),
            OutputFormat::Arrow => Box::new(ipc::IpcSink::new(create()?, schema)?),
            OutputFormat::Jsonl if self.is_stdout() => Box::new(jsonl::JsonlSink::new(jsonl::Output::Stdout)),
            OutputFormat::Jsonl => Box::new(jsonl::JsonlSink::new(jsonl::Output::File(create()?))),
            OutputFormat::Npy => Box::new(npy::NpySink::new(create()?, self.overwrite, schema, vectors)?),
        })
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let format = match self.format {
            OutputFormat::Parquet => "Parquet, zstd",
            OutputFormat::Arrow => "Arrow IPC file",
            OutputFormat::Jsonl => "JSON lines",
            OutputFormat::Npy => "NumPy array, other columns in Parquet",
        };
        let path = if self.is_stdout() { "standard output".to_owned() } else { self.path.display().to_string() };
        write!(f, "{path} ({format})")
    }
}

fn format_of(path: &Path) -> Option<OutputFormat> {
    Some(match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "parquet" | "pq" => OutputFormat::Parquet,
        "arrow" | "ipc" | "feather" => OutputFormat::Arrow,
        "jsonl" | "ndjson" => OutputFormat::Jsonl,
        "npy" => OutputFormat::Npy,
        _ => return None,
    })
}

/// An error of a library that writes, which keeps the I/O error under it.
fn unwritable(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Io, format!("writing the output: {error}")).source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_says_the_format_unless_the_user_does() {
        let dir = tempfile::tempdir().unwrap();
        let target = |name: &str, format| Target::new(dir.path().join(name).to_str().unwrap(), format, false);
        assert_eq!(target("x.PARQUET", None).unwrap().format, OutputFormat::Parquet);
        assert_eq!(target("x.dat", Some(OutputFormat::Arrow)).unwrap().format, OutputFormat::Arrow);
        assert!(target("x.dat", None).unwrap_err().hint_text().unwrap().contains("--format"));
        assert_eq!(Target::new("-", None, false).unwrap().format, OutputFormat::Jsonl);
        assert!(Target::new("-", Some(OutputFormat::Npy), false).is_err());
    }

    #[test]
    fn the_companion_of_an_npy_file_is_not_overwritten_either() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.keys.parquet"), b"precious").unwrap();
        let output = dir.path().join("x.npy");
        assert!(Target::new(output.to_str().unwrap(), None, false).unwrap_err().message().contains("x.keys.parquet"));
        assert!(Target::new(output.to_str().unwrap(), None, true).is_ok());
    }
}
