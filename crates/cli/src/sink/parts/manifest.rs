//! The manifest of an output in parts: what it is made with, readable, and whether it is whole.
//!
//! A part that is there is there whatever the manifest says; what rows it holds stands in its own footer.

use std::collections::BTreeMap;

use imbed::core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::place::Place;

/// Its file. Readers of folders of Parquet files pass over names that begin with `_`.
pub(super) const NAME: &str = "_imbed.json";

/// Raised when a program that knows this one could not go on with what a later one wrote.
const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    /// What must be equal for rows to be mixed.
    pub(super) identity: Value,
    /// Whether the single file that is made of the parts may take the place of one that exists.
    pub(super) overwrite: bool,
    /// Whether every row of the input is there, and no other part.
    pub(super) complete: bool,
    /// Rows of all parts; where it is not complete, 0.
    pub(super) rows: u64,
    /// Of these, rows that failed, by kind.
    pub(super) failed: BTreeMap<String, u64>,
    /// The parts in input order; where it is not complete, none.
    pub(super) parts: Vec<Listed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// BLAKE3 over the identities of its rows; left out of a part that a cluster has written, whose footer knows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) hash: String,
}

impl Manifest {
    /// Of a run that begins.
    pub(super) fn begun(identity: Value, overwrite: bool) -> Self {
        let (failed, parts) = (BTreeMap::new(), Vec::new());
        Self { format: FORMAT, identity, overwrite, complete: false, rows: 0, failed, parts }
    }

    /// What stands in `place`; `None` where there is none, or nothing that can be read.
    pub(super) fn read(place: &dyn Place) -> Result<Option<Self>> {
        let Some(text) = place.read(NAME)? else { return Ok(None) };
        let Ok(value) = serde_json::from_slice::<Value>(&text) else { return Ok(None) };
        if value["format"].as_u64().is_some_and(|format| format > u64::from(FORMAT)) {
            return Err(Error::new(
                ErrorKind::BadInput,
                format!("{}: a later version of imbed made it", place.shown()),
            )
            .hint("go on with that version, name another output, or remove it"));
        }
        Ok(serde_json::from_value(value).ok())
    }

    /// Whether others have written the parts, one for each of their tasks.
    pub(super) fn is_of_a_cluster(&self) -> bool {
        self.identity.get("partitions").is_some()
    }

    pub(super) fn write(&self, place: &dyn Place) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|e| {
            Error::new(ErrorKind::Internal, format!("the manifest cannot be written down: {e}")).source(e)
        })?;
        place.write(NAME, format!("{text}\n").as_bytes())
    }
}
