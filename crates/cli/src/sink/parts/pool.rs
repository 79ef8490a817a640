//! Parts of earlier runs that may be kept: each once, where the input has its rows.

use std::{collections::HashMap, ops::Range};

use imbed::core::Result;

use super::stretch::Stretch;
use crate::source::RowId;

/// A part that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(super) at: At,
    pub(crate) stretch: Stretch,
    pub(super) bytes: u64,
}

/// Where the rows of a part are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// In a file of their own, with this name.
    File(String),
    /// In these row groups of the one file that an earlier run has made of its parts.
    Groups(Range<usize>),
}

/// Parts that have not been kept yet, by their first row.
#[derive(Debug, Default)]
pub(crate) struct Pool(HashMap<RowId, Vec<Part>>);

impl Pool {
    /// Of several parts that hold the same rows, the first is kept first.
    pub(super) fn new(parts: impl IntoIterator<Item = Part>) -> Self {
        let mut pool = Self::default();
        for part in parts {
            pool.0.entry(part.stretch.first).or_default().push(part);
        }
        for parts in pool.0.values_mut() {
            // The longest first: more is kept.
            parts.sort_by_key(|part| std::cmp::Reverse(part.stretch.rows));
        }
        pool
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the first part that begins with `first` and whose rows are `rows`, which gives as many as it is asked for.
    pub(super) fn take(
        &mut self,
        first: RowId,
        mut rows: impl FnMut(u64) -> Result<Vec<RowId>>,
    ) -> Result<Option<Part>> {
        let Some(parts) = self.0.get_mut(&first) else { return Ok(None) };
        for i in 0..parts.len() {
            if parts[i].stretch.is(&rows(parts[i].stretch.rows)?) {
                let part = parts.remove(i);
                if parts.is_empty() {
                    self.0.remove(&first);
                }
                return Ok(Some(part));
            }
        }
        Ok(None)
    }

    /// Whether [`take`](Self::take) would give a part.
    pub(super) fn has(&self, first: RowId, mut rows: impl FnMut(u64) -> Result<Vec<RowId>>) -> Result<bool> {
        for part in self.0.get(&first).into_iter().flatten() {
            if part.stretch.is(&rows(part.stretch.rows)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What was not taken.
    pub(super) fn into_rest(self) -> Vec<Part> {
        self.0.into_values().flatten().collect()
    }
}
