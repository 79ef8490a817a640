//! Parts that an earlier attempt of the same query has written, or an earlier query of the same rows.
//!
//! An executor that dies takes what it told of its parts along, and not the parts. The scheduler gives its tasks to others, those that
//! were done too, and these find here that nothing is left to do. So do the tasks of a query that goes on with another, whose scheduler
//! died.

use bytes::Bytes;
use datafusion::{
    error::{DataFusionError, Result},
    execution::runtime_env::RuntimeEnv,
};
use imbed_core::footer;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt};
use parquet::{
    errors::ParquetError,
    file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader},
};
use serde::{Deserialize, Serialize};

use super::{Parts, write::Written};

/// Where the footer of part `number` says how it was made. A name for each part, as tables of several files merge what these say of
/// themselves, and refuse a name that is there twice with different values.
fn key(number: usize) -> String {
    format!("imbed.saved.{number:05}")
}

/// Bytes at the end of a file that hold most footers.
const TAIL: u64 = 64 << 10;

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    /// The query, as [`Parts::run`] names it.
    run: String,
    /// What that query says that decides its rows: see [`Parts::with_earlier`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made: Option<String>,
    failed: u64,
    /// What its rows come from: see [`rows`](super::rows).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<String>,
}

/// A part that is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) written: Written,
    /// Another query has written it.
    pub(super) earlier: bool,
}

/// What the footer of part `number` of `parts` says of it.
pub(super) fn mark(parts: &Parts, number: usize, rows: Option<&str>, failed: u64) -> Result<KeyValue> {
    let made = parts.earlier().map(|earlier| earlier.made.clone());
    let saved = Saved { run: parts.run().to_owned(), made, failed, rows: rows.map(str::to_owned) };
    let text = serde_json::to_string(&saved).map_err(|e| DataFusionError::External(Box::new(e)))?;
    Ok(KeyValue::new(key(number), text))
}

/// What part `number` holds, if this query has written it already, or one before it that is to be kept, of the same `rows`.
pub(super) async fn find(
    parts: &Parts,
    number: usize,
    rows: Option<&str>,
    runtime: &RuntimeEnv,
) -> Result<Option<Done>> {
    let (store, folder) = parts.store(runtime).map_err(|e| DataFusionError::External(Box::new(e)))?;
    let object = match store.head(&folder.join(Parts::name(number))).await {
        Ok(object) => object,
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(DataFusionError::ObjectStore(Box::new(error))),
    };
    let Some(footer) = footer(store.as_ref(), &object).await? else { return Ok(None) };
    let Some(saved) = saved(&footer, &key(number)) else { return Ok(None) };
    let earlier = saved.run != parts.run();
    if earlier && !is_kept(parts, &saved, rows) {
        return Ok(None);
    }
    let rows = u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0);
    let written = Written { rows, failed: saved.failed, bytes: object.size };
    Ok(Some(Done { written, earlier }))
}

/// Whether `object`, a part, is of this query or of one that was made alike.
pub(super) async fn is_ours(parts: &Parts, store: &dyn ObjectStore, object: &ObjectMeta) -> Result<bool> {
    let Some(footer) = footer(store, object).await? else { return Ok(false) };
    let number = object.location.filename().and_then(Parts::number_of);
    let Some(saved) = number.and_then(|number| saved(&footer, &key(number))) else { return Ok(false) };
    let made = parts.earlier().map(|earlier| earlier.made.as_str());
    Ok(saved.run == parts.run() || (made.is_some() && saved.made.as_deref() == made))
}

/// What a footer says under `key`.
fn saved(footer: &ParquetMetaData, key: &str) -> Option<Saved> {
    let pair = footer.file_metadata().key_value_metadata()?.iter().find(|pair| pair.key == key)?;
    serde_json::from_str(pair.value.as_deref()?).ok()
}

/// Whether a part that another query has `saved` holds these `rows`, and all that is wanted of them.
fn is_kept(parts: &Parts, saved: &Saved, rows: Option<&str>) -> bool {
    let whole_only = parts.earlier().is_some_and(|earlier| earlier.whole_only);
    rows.is_some() && saved.rows.as_deref() == rows && (saved.failed == 0 || !whole_only)
}

/// The footer of `object`; `None` if it is no Parquet file.
async fn footer(store: &dyn ObjectStore, object: &ObjectMeta) -> Result<Option<ParquetMetaData>> {
    let mut length = TAIL.min(object.size);
    // Stores refuse to read nothing.
    if length == 0 {
        return Ok(None);
    }
    loop {
        let range = object.size - length..object.size;
        let tail: Bytes =
            store.get_range(&object.location, range).await.map_err(|e| DataFusionError::ObjectStore(Box::new(e)))?;
        if footer::check_end(&tail).is_err() {
            return Ok(None);
        }
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&tail, object.size) {
            Ok(()) => return Ok(reader.finish().ok()),
            Err(ParquetError::NeedMoreData(needed)) if needed as u64 > length && needed as u64 <= object.size => {
                length = needed as u64;
            }
            Err(_) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_with_different_counts_say_nothing_that_contradicts_another() {
        let parts = Parts::new("/tmp/out").unwrap();
        let [one, other] = [(0, 1), (1, 2)].map(|(number, failed)| mark(&parts, number, None, failed).unwrap());
        assert!(one.key != other.key && one.value != other.value, "{one:?} {other:?}");
    }
}
