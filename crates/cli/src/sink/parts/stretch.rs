//! What a part says of its rows, in the footer of its own file: so one rename is the whole commit, and no second file can disagree.

use std::collections::BTreeMap;

use imbed::core::ErrorKind;
use parquet::file::metadata::{KeyValue, ParquetMetaData, RowGroupMetaData};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::source::RowId;

/// The key under which a part's footer says what it holds, as JSON.
const PART: &str = "imbed.part";
/// The key under which one file made of several parts does.
const PARTS: &str = "imbed.parts";

/// Rows that follow each other in the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stretch {
    /// The first row.
    pub(super) first: RowId,
    /// How many there are.
    pub(crate) rows: u64,
    /// BLAKE3 over the identities of all of them.
    pub(super) hash: String,
    /// Rows without an image.
    pub(crate) nulls: u64,
    /// Rows that failed, by kind.
    pub(crate) failed: BTreeMap<ErrorKind, u64>,
}

impl Stretch {
    /// Whether `ids` are its rows.
    pub(super) fn is(&self, ids: &[RowId]) -> bool {
        self.rows == ids.len() as u64 && self.hash == hash(ids)
    }
}

fn hash(ids: &[RowId]) -> String {
    let mut hasher = Hasher::default();
    for id in ids {
        hasher.add(*id);
    }
    hasher.finish()
}

/// Hashes identities of rows one by one.
#[derive(Default)]
pub(super) struct Hasher(blake3::Hasher);

impl Hasher {
    pub(super) fn add(&mut self, id: RowId) {
        self.0.update(id.as_bytes());
    }

    pub(super) fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

/// The footer of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartFooter {
    /// A hash of all that must be equal for rows to be mixed.
    pub(super) run: String,
    #[serde(flatten)]
    pub(super) stretch: Stretch,
}

/// The footer of a whole file: enough to go on from it when the input has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FileFooter {
    pub(super) run: String,
    /// What [`run`](Self::run) is a hash of.
    pub(super) identity: Value,
    pub(super) parts: Vec<FilePart>,
}

/// Some row groups of a file, the next ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FilePart {
    pub(super) groups: usize,
    #[serde(flatten)]
    pub(super) stretch: Stretch,
}

impl PartFooter {
    pub(super) fn to_key_value(&self) -> KeyValue {
        key_value(PART, self)
    }

    /// `None` where the file is no part of ours, or says more or fewer rows than it has.
    pub(super) fn of(metadata: &ParquetMetaData) -> Option<Self> {
        let footer: Self = read(metadata, PART)?;
        let rows = u64::try_from(metadata.file_metadata().num_rows()).ok()?;
        (footer.stretch.rows == rows).then_some(footer)
    }
}

impl FileFooter {
    pub(super) fn to_key_value(&self) -> KeyValue {
        key_value(PARTS, self)
    }

    /// `None` where the file was not made so, or says other rows than it has.
    pub(super) fn of(metadata: &ParquetMetaData) -> Option<Self> {
        let footer: Self = read(metadata, PARTS)?;
        let mut groups = metadata.row_groups().iter();
        for part in &footer.parts {
            let rows: i64 = groups.by_ref().take(part.groups).map(RowGroupMetaData::num_rows).sum();
            if u64::try_from(rows) != Ok(part.stretch.rows) {
                return None;
            }
        }
        groups.next().is_none().then_some(footer)
    }
}

/// Whether `key` is one of those that say how a file was made of parts.
pub(super) fn is_ours(key: &str) -> bool {
    key == PART || key == PARTS
}

fn key_value(key: &str, value: &impl Serialize) -> KeyValue {
    // Numbers, texts and maps by text: nothing that JSON cannot say.
    KeyValue::new(key.to_owned(), serde_json::to_string(value).unwrap_or_default())
}

fn read<T: serde::de::DeserializeOwned>(metadata: &ParquetMetaData, key: &str) -> Option<T> {
    let values = metadata.file_metadata().key_value_metadata()?;
    let text = values.iter().find(|pair| pair.key == key)?.value.as_deref()?;
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_knows_its_rows_and_their_order() {
        let ids: Vec<RowId> = (0..5).map(RowId::numbered).collect();
        let stretch =
            Stretch { first: ids[0], rows: 5, hash: hash(&ids), nulls: 1, failed: [(ErrorKind::Io, 2)].into() };
        assert!(stretch.is(&ids));
        assert!(!stretch.is(&ids[..4]));
        let mut swapped = ids.clone();
        swapped.swap(1, 2);
        assert!(!stretch.is(&swapped));
    }

    #[test]
    fn footers_are_read_as_they_were_written() {
        let stretch = Stretch {
            first: RowId::numbered(1),
            rows: 5,
            hash: hash(&[RowId::numbered(1)]),
            nulls: 0,
            failed: [(ErrorKind::OutOfMemory, 2)].into(),
        };
        let part = PartFooter { run: "r".into(), stretch: stretch.clone() };
        let text = part.to_key_value().value.unwrap();
        assert_eq!(serde_json::from_str::<PartFooter>(&text).unwrap(), part);
        let file = FileFooter {
            run: "r".into(),
            identity: serde_json::json!({ "a": [1, null] }),
            parts: vec![FilePart { groups: 3, stretch }],
        };
        let text = file.to_key_value().value.unwrap();
        assert_eq!(serde_json::from_str::<FileFooter>(&text).unwrap(), file);
    }
}
