//! Tables that the user named on the command line.

use std::path::Path;

use arrow_schema::Schema;
use datafusion::prelude::{CsvReadOptions, JsonReadOptions, ParquetReadOptions, SessionContext};
use imbed::core::{Error, ErrorKind, Result, footer};
use imbed_datafusion::{cause, is_url, store_table};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Makes `file` known as `name`.
pub(super) async fn register(context: &SessionContext, name: &str, file: &str) -> Result<()> {
    let failed = |e: &datafusion::error::DataFusionError| cause(e).context(format_args!("--table {name}={file}"));
    if is_url(file) {
        let table = store_table(context, file).await.map_err(|e| failed(&e))?;
        return context.register_table(name, table).map(drop).map_err(|e| failed(&e));
    }
    if !Path::new(file).exists() {
        return Err(Error::new(ErrorKind::BadInput, format!("--table {name}={file}: there is no such file or folder")));
    }
    let extension = extension(Path::new(file))?;
    match extension.as_deref() {
        Some("csv" | "tsv") => {
            let delimiter = if extension.as_deref() == Some("tsv") { b'\t' } else { b',' };
            let ending = format!(".{}", extension.as_deref().unwrap_or_default());
            let options = CsvReadOptions::new().delimiter(delimiter).file_extension(&ending);
            context.register_csv(name, file, options).await
        }
        Some(json @ ("json" | "jsonl" | "ndjson")) => {
            let ending = format!(".{json}");
            context.register_json(name, file, JsonReadOptions::default().file_extension(&ending)).await
        }
        Some(other) => {
            let ending = format!(".{other}");
            let schema = schema_of_parts(Path::new(file));
            let mut options = ParquetReadOptions::default().file_extension(&ending);
            options.schema = schema.as_ref();
            context.register_parquet(name, file, options).await
        }
        None => {
            return Err(Error::new(ErrorKind::BadInput, format!("--table {name}={file}: this is not a table"))
                .hint("tables are .parquet, .csv, .tsv, .jsonl and .ndjson files, and folders of one kind of them"));
        }
    }
    .map_err(|e| failed(&e))
}

/// The columns of a folder of parts, of which each says in its footer which rows it holds: different things, where a table has one.
/// `None` for any other folder or file, whose columns are found by whoever reads it.
fn schema_of_parts(folder: &Path) -> Option<Schema> {
    let mut parts = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let part = parts.find(|path| path.extension().is_some_and(|e| e == "parquet"))?;
    let part = std::fs::File::open(part).ok()?;
    footer::check_file(&part).ok()?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(part).ok()?;
    let schema = reader.schema();
    schema.metadata().contains_key("imbed.part").then(|| Schema::new(schema.fields().clone()))
}

/// The extension that says the format: the file's, or that of the first table in a folder.
fn extension(path: &Path) -> Result<Option<String>> {
    let known = |path: &Path| {
        let extension = path.extension()?.to_string_lossy().to_ascii_lowercase();
        ["parquet", "pq", "csv", "tsv", "json", "jsonl", "ndjson"].contains(&extension.as_str()).then_some(extension)
    };
    if !path.is_dir() {
        return Ok(known(path));
    }
    for entry in std::fs::read_dir(path).map_err(|e| Error::io(path.display(), e))? {
        if let Some(extension) = known(&entry.map_err(|e| Error::io(path.display(), e))?.path()) {
            return Ok(Some(extension));
        }
    }
    Ok(None)
}
