//! Tables that the user named on the command line.

use std::path::Path;

use datafusion::prelude::{CsvReadOptions, JsonReadOptions, ParquetReadOptions, SessionContext};
use imbed::core::{Error, ErrorKind, Result};
use imbed_datafusion::{cause, is_url, store_table};

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
            context.register_parquet(name, file, ParquetReadOptions::default().file_extension(&ending)).await
        }
        None => {
            return Err(Error::new(ErrorKind::BadInput, format!("--table {name}={file}: this is not a table"))
                .hint("tables are .parquet, .csv, .tsv, .jsonl and .ndjson files, and folders of one kind of them"));
        }
    }
    .map_err(|e| failed(&e))
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
