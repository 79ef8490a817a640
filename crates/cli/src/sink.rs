//! Outputs: record batches with vectors become one file, whole or not at all, or [parts](parts) with which a later run can go on.

pub(crate) mod atomic;
mod ipc;
mod jsonl;
mod npy;
mod parquet;
pub(crate) mod parts;

use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use imbed::core::{Error, ErrorKind, Result};

use self::parts::{Mode, PartsTarget};
use crate::{
    address,
    args::{OutputArgs, OutputFormat},
};

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
pub(crate) enum Target {
    /// A file that is written in one go, or standard output.
    Whole(WholeTarget),
    /// Parquet, in parts.
    Parts(PartsTarget),
}

/// A file that is written in one go.
#[derive(Debug, Clone)]
pub(crate) struct WholeTarget {
    /// The file; `-` is standard output.
    path: PathBuf,
    format: OutputFormat,
    overwrite: bool,
}

impl Target {
    /// Decides the form and the format, and refuses what could not be written in the end.
    pub(crate) fn new(output: &str, args: &OutputArgs) -> Result<Self> {
        let mode = match (args.resume, args.overwrite) {
            (true, _) => Mode::Resume,
            (_, true) => Mode::Overwrite,
            _ => Mode::New,
        };
        let rows = args.part_rows.map(std::num::NonZeroU64::get);
        #[cfg(feature = "sql")]
        if output.ends_with('/') && address::is_bucket(output) {
            folder_format(output, args.format)?;
            let target = PartsTarget::bucket(output, mode, rows);
            target.check()?;
            return Ok(Self::Parts(target));
        }
        address::refuse_output(output)?;
        let path = PathBuf::from(output);
        let in_folder = output.ends_with('/') || PartsTarget::is_folder_of_ours(&path);
        let format = if in_folder { folder_format(output, args.format)? } else { format(output, &path, args.format)? };
        if format == OutputFormat::Parquet {
            let make = if in_folder { PartsTarget::folder } else { PartsTarget::file };
            let target = make(path, mode, rows);
            target.check()?;
            return Ok(Self::Parts(target));
        }
        let of_parts = [("--resume", args.resume), ("--part-rows", args.part_rows.is_some())];
        if let Some((flag, _)) = of_parts.iter().find(|(_, given)| *given) {
            let what = format!("{flag} is about Parquet: other formats are written whole or not at all");
            return Err(Error::new(ErrorKind::BadInput, what)
                .hint("write Parquet (-o NAME.parquet, or -o FOLDER/), or leave it out"));
        }
        let target = WholeTarget { path, format, overwrite: args.overwrite };
        target.check()?;
        Ok(Self::Whole(target))
    }

    /// Whether rows go to standard output.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Whole(target) if target.is_stdout())
    }
}

impl WholeTarget {
    /// A Parquet file that is not made of parts.
    pub(crate) fn parquet(path: PathBuf, overwrite: bool) -> Self {
        Self { path, format: OutputFormat::Parquet, overwrite }
    }

    fn check(&self) -> Result<()> {
        if self.is_stdout() {
            return Ok(());
        }
        self.files().iter().try_for_each(|path| atomic::check(path, self.overwrite))
    }

    /// Whether rows go to standard output.
    fn is_stdout(&self) -> bool {
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
        let target = match self {
            Self::Parts(target) => return target.fmt(f),
            Self::Whole(target) => target,
        };
        let format = match target.format {
            OutputFormat::Parquet => "Parquet, zstd",
            OutputFormat::Arrow => "Arrow IPC file",
            OutputFormat::Jsonl => "JSON lines",
            OutputFormat::Npy => "NumPy array, other columns in Parquet",
        };
        let path = if target.is_stdout() { "standard output".to_owned() } else { target.path.display().to_string() };
        write!(f, "{path} ({format})")
    }
}

/// The format of a file: what the user says, or else what the extension does.
fn format(output: &str, path: &Path, asked: Option<OutputFormat>) -> Result<OutputFormat> {
    if output == "-" {
        return match asked {
            None | Some(OutputFormat::Jsonl) => Ok(OutputFormat::Jsonl),
            _ => Err(Error::new(ErrorKind::BadInput, "standard output takes JSON lines only")
                .hint("leave --format out, or name a file")),
        };
    }
    asked.or_else(|| format_of(path)).ok_or_else(|| {
        Error::new(ErrorKind::BadInput, format!("{output}: the extension names no format of output"))
            .hint("use .parquet, .arrow, .jsonl or .npy, or say --format; a folder of Parquet files ends with a /")
    })
}

/// The format of what is in a folder.
fn folder_format(output: &str, asked: Option<OutputFormat>) -> Result<OutputFormat> {
    match asked {
        None | Some(OutputFormat::Parquet) => Ok(OutputFormat::Parquet),
        Some(_) => Err(Error::new(ErrorKind::BadInput, format!("{output}: a folder takes Parquet only"))
            .hint("leave --format out, or name a file")),
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
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut beneath = None;
    while let Some(current) = cause {
        beneath = beneath.or(current.downcast_ref::<std::io::Error>());
        cause = current.source();
    }
    // What the system says, where it does, and not how a library passes it on.
    let message = format!("writing the output: {}", beneath.map_or_else(|| error.to_string(), ToString::to_string));
    let full = beneath.is_some_and(|e| e.kind() == std::io::ErrorKind::StorageFull);
    let wrapped = Error::new(ErrorKind::Io, message);
    let wrapped = if full { wrapped.hint("make room there, or name an output on another disk") } else { wrapped };
    wrapped.source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(format: Option<OutputFormat>, overwrite: bool) -> OutputArgs {
        OutputArgs { format, overwrite, ..OutputArgs::default() }
    }

    #[test]
    fn the_extension_says_the_format_unless_the_user_does() {
        let dir = tempfile::tempdir().unwrap();
        let target = |name: &str, format| Target::new(dir.path().join(name).to_str().unwrap(), &args(format, false));
        assert!(matches!(target("x.PARQUET", None).unwrap(), Target::Parts(_)));
        assert!(matches!(target("x/", None).unwrap(), Target::Parts(_)));
        let arrow = target("x.dat", Some(OutputFormat::Arrow)).unwrap();
        assert!(matches!(arrow, Target::Whole(WholeTarget { format: OutputFormat::Arrow, .. })));
        assert!(target("x.dat", None).unwrap_err().hint_text().unwrap().contains("--format"));
        assert!(target("x/", Some(OutputFormat::Npy)).is_err());
        assert!(Target::new("-", &args(None, false)).unwrap().is_stdout());
        assert!(Target::new("-", &args(Some(OutputFormat::Npy), false)).is_err());
    }

    #[test]
    fn a_full_disk_is_told_as_the_system_says_it_with_a_next_step() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let said = full.to_string();
        let error = unwritable(::parquet::errors::ParquetError::External(Box::new(full)));
        assert_eq!(error.message(), format!("writing the output: {said}"));
        assert!(error.hint_text().unwrap().contains("make room"));
    }

    #[test]
    fn the_companion_of_an_npy_file_is_not_overwritten_either() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.keys.parquet"), b"precious").unwrap();
        let output = dir.path().join("x.npy");
        let output = output.to_str().unwrap();
        assert!(Target::new(output, &args(None, false)).unwrap_err().message().contains("x.keys.parquet"));
        assert!(Target::new(output, &args(None, true)).is_ok());
    }

    #[test]
    fn only_parquet_can_be_gone_on_with() {
        let resume = OutputArgs { resume: true, ..OutputArgs::default() };
        let error = Target::new("x.jsonl", &resume).unwrap_err();
        assert!(error.message().contains("--resume") && error.hint_text().unwrap().contains(".parquet"), "{error}");
    }
}
