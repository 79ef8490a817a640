//! Tables that a query names by file or URL.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use datafusion::{
    catalog::{DynamicFileCatalog, TableProvider, UrlTableFactory},
    common::{Result as PlanResult, TableReference, exec_datafusion_err},
    datasource::{
        dynamic_file::DynamicListTableFactory,
        file_format::options::ReadOptions,
        listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl},
    },
    error::DataFusionError,
    execution::SessionState,
    prelude::{CsvReadOptions, JsonReadOptions, ParquetReadOptions, SessionContext},
};
use futures::TryStreamExt;
use imbed_core::{Error, ErrorKind};
use imbed_engine::files::is_pattern;

use crate::error::wrap;

/// Objects of a folder that are looked at to find a table among them.
const LOOKED_AT: usize = 1000;

/// Whether `text` is the address of something in a store, and not a path of this machine.
pub fn is_url(text: &str) -> bool {
    scheme(text).is_some_and(|scheme| scheme != "file")
}

fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let letters = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    (!scheme.is_empty() && scheme.chars().all(letters)).then_some(scheme)
}

/// `context`, in which `FROM 'x.parquet'` and `FROM 's3://bucket/x-*.parquet'` read files: `.parquet`, `.csv` and `.json` of this
/// machine, and of stores `.tsv`, `.jsonl` and folders too.
///
/// It is [`SessionContext::enable_url_table`], but for stores: patterns work, and a table that cannot be read says why instead of
/// being unknown.
#[must_use]
pub fn with_file_tables(context: SessionContext) -> SessionContext {
    let catalogs = Arc::clone(context.state_ref().read().catalog_list());
    let factory = Arc::new(FileTables(DynamicListTableFactory::default()));
    let catalogs = Arc::new(DynamicFileCatalog::new(catalogs, Arc::clone(&factory) as Arc<dyn UrlTableFactory>));
    let session = context.session_id();
    let context: SessionContext =
        context.into_state_builder().with_session_id(session).with_catalog_list(catalogs).build().into();
    factory.0.session_store().with_state(context.state_weak_ref());
    context
}

struct FileTables(DynamicListTableFactory);

#[async_trait]
impl UrlTableFactory for FileTables {
    async fn try_new(&self, url: &str) -> PlanResult<Option<Arc<dyn TableProvider>>> {
        if !is_url(url) {
            return self.0.try_new(url).await;
        }
        let session = self.0.session_store().get_session().upgrade();
        let state = session.and_then(|session| session.read().as_any().downcast_ref::<SessionState>().cloned());
        let state = state.ok_or_else(|| exec_datafusion_err!("the session of {url} has ended"))?;
        table(&state, url).await.map(Some)
    }
}

impl fmt::Debug for FileTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileTables")
    }
}

/// The table of the files at `url`, an object, a pattern such as `s3://bucket/shard-*.parquet`, or a folder with a `/` at its end.
pub async fn store_table(context: &SessionContext, url: &str) -> PlanResult<Arc<dyn TableProvider>> {
    table(&context.state(), url).await
}

async fn table(state: &SessionState, text: &str) -> PlanResult<Arc<dyn TableProvider>> {
    let url = parse(text)?;
    let (config, options) = (state.config(), state.default_table_options());
    let ending = match extension(text).filter(|ending| is_table(ending)) {
        Some(ending) => ending.to_owned(),
        None => first_extension(state, &url, text).await?,
    };
    let dotted = format!(".{ending}");
    let lower = ending.to_ascii_lowercase();
    let options: ListingOptions = match lower.as_str() {
        "csv" | "tsv" => {
            let delimiter = if lower == "tsv" { b'\t' } else { b',' };
            CsvReadOptions::new().delimiter(delimiter).file_extension(&dotted).to_listing_options(config, options)
        }
        "json" | "jsonl" | "ndjson" => {
            JsonReadOptions::default().file_extension(&dotted).to_listing_options(config, options)
        }
        _ => ParquetReadOptions::default().file_extension(&dotted).to_listing_options(config, options),
    };
    let config = match ListingTableConfig::new(url).with_listing_options(options).infer_schema(state).await {
        Ok(config) => config,
        Err(DataFusionError::Plan(why)) if why.contains("No files found") => return Err(wrap(nothing(text))),
        Err(error) => return Err(error),
    };
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// A name of its own for each table of each query: DataFusion keeps listings by name and key, and would take one bucket's for
/// another's, and what was there before a `COPY` for what is there after.
fn own_name(text: &str) -> TableReference {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    TableReference::partial(text, NEXT.fetch_add(1, Relaxed).to_string())
}

/// The literal part of `text` as a URL, with the rest as its pattern.
fn parse(text: &str) -> PlanResult<ListingTableUrl> {
    let url = if is_pattern(text) {
        let special = text.find(['*', '?', '[', '{']).unwrap_or(text.len());
        let folder = text[..special].rfind('/').map_or(0, |slash| slash + 1);
        ListingTableUrl::parse(&text[..folder])?.with_glob(&text[folder..])?
    } else {
        ListingTableUrl::parse(text)?
    };
    Ok(url.with_table_ref(own_name(text)))
}

fn extension(path: &str) -> Option<&str> {
    path.rsplit('/').next()?.rsplit_once('.').map(|(_, ending)| ending)
}

fn is_table(ending: &str) -> bool {
    let ending = ending.to_ascii_lowercase();
    ["parquet", "pq", "csv", "tsv", "json", "jsonl", "ndjson"].contains(&ending.as_str())
}

/// The extension of the first table that `url` means.
async fn first_extension(state: &SessionState, url: &ListingTableUrl, text: &str) -> PlanResult<String> {
    let store = state.runtime_env().object_store(url.object_store())?;
    let mut files = url.list_all_files(state, store.as_ref(), "").await?;
    for _ in 0..LOOKED_AT {
        let Some(file) = files.try_next().await? else { break };
        if let Some(ending) = extension(file.location.as_ref()).filter(|ending| is_table(ending)) {
            return Ok(ending.to_owned());
        }
    }
    Err(wrap(nothing(text)))
}

fn nothing(text: &str) -> Error {
    Error::new(ErrorKind::BadInput, format!("{text}: there is no table"))
        .hint("tables are .parquet, .csv, .tsv, .json, .jsonl and .ndjson objects, patterns of them, and folders, whose names end in /")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme() {
        assert!(is_url("s3://b/x") && is_url("https://host"));
        assert!(!is_url("file:///x") && !is_url("a/b.png") && !is_url("odd name://x") && !is_url("://x"));
    }

    #[test]
    fn a_pattern_is_kept_apart_from_its_folder() {
        let url = parse("s3://b/a/part-*.parquet").unwrap();
        assert_eq!(
            (url.as_str(), url.get_glob().as_ref().map(ToString::to_string)),
            ("s3://b/a/", Some("part-*.parquet".to_owned()))
        );
        assert_eq!(parse("s3://b/a/x.parquet").unwrap().as_str(), "s3://b/a/x.parquet");
    }
}
