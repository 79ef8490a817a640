//! The listing: one walk through the place, in groups that are read at once.

use std::{fs::Metadata, sync::Arc, time::UNIX_EPOCH};

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::{error::Result, physical_expr::PhysicalExpr};
use imbed_engine::files;

use super::{LISTED, filter};
use crate::error::wrap;

/// Files whose conditions are checked at once.
const CHECKED: usize = 256;

/// A file that was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: String,
    /// Bytes; `None` for a link to nowhere and whatever else cannot be looked at.
    pub(super) size: Option<i64>,
    /// Microseconds since 1970.
    pub(super) modified: Option<i64>,
}

impl Entry {
    fn new(path: String) -> Self {
        let metadata = std::fs::metadata(&path).ok();
        Self { size: metadata.as_ref().map(|m| m.len() as i64), modified: metadata.as_ref().and_then(modified), path }
    }
}

fn modified(metadata: &Metadata) -> Option<i64> {
    let since = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok()
}

/// The columns of `entries` that are known without opening a file.
pub(super) fn columns(entries: &[Entry]) -> [ArrayRef; 3] {
    let paths = StringArray::from_iter_values(entries.iter().map(|entry| &entry.path));
    let sizes: Int64Array = entries.iter().map(|entry| entry.size).collect();
    let modified: TimestampMicrosecondArray = entries.iter().map(|entry| entry.modified).collect();
    [Arc::new(paths), Arc::new(sizes), Arc::new(modified.with_timezone("UTC"))]
}

/// How large a group may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupSize {
    pub(super) rows: usize,
    /// Bytes of the files together, unless one alone has more.
    pub(super) bytes: u64,
}

impl GroupSize {
    /// `entries` in groups of at most this size.
    pub(super) fn groups(self, entries: Vec<Entry>) -> Vec<Vec<Entry>> {
        let mut group = Group::default();
        let mut groups: Vec<Vec<Entry>> = entries.into_iter().filter_map(|entry| group.push(entry, self)).collect();
        groups.extend((!group.entries.is_empty()).then_some(group.entries));
        groups
    }
}

/// Walks through `place` on this machine and hands each group of files that `sieve` lets through to `take`, until it wants no more
/// of either.
pub(super) fn list(place: &str, mut sieve: Sieve, mut take: impl FnMut(Vec<Entry>) -> bool) -> Result<()> {
    let mut paths = files::images(place).map_err(wrap)?;
    while sieve.wants() > 0 {
        let next = paths.by_ref().take(sieve.wants()).map(|path| path.map(Entry::new));
        let entries = next.collect::<imbed_core::Result<Vec<Entry>>>().map_err(wrap)?;
        if entries.is_empty() {
            break;
        }
        for group in sieve.sift(entries)? {
            if !take(group) {
                return Ok(());
            }
        }
    }
    if let Some(last) = sieve.rest() {
        take(last);
    }
    Ok(())
}

/// Lets those files through that meet a condition, until there are enough, in groups.
#[derive(Debug)]
pub(super) struct Sieve {
    condition: Option<Arc<dyn PhysicalExpr>>,
    left: usize,
    size: GroupSize,
    group: Group,
}

impl Sieve {
    pub(super) fn new(condition: Option<Arc<dyn PhysicalExpr>>, limit: Option<usize>, size: GroupSize) -> Self {
        Self { condition, left: limit.unwrap_or(usize::MAX), size, group: Group::default() }
    }

    /// How many files to look at next; none if there are enough.
    pub(super) fn wants(&self) -> usize {
        // How many of them meet a condition is not known before.
        if self.condition.is_some() && self.left > 0 { CHECKED } else { CHECKED.min(self.left) }
    }

    /// The groups that are full with those of `entries` that get through.
    pub(super) fn sift(&mut self, entries: Vec<Entry>) -> Result<Vec<Vec<Entry>>> {
        let mut full = Vec::new();
        for entry in self.matching(entries)?.into_iter().take(self.left) {
            self.left -= 1;
            full.extend(self.group.push(entry, self.size));
        }
        Ok(full)
    }

    /// The last group.
    pub(super) fn rest(self) -> Option<Vec<Entry>> {
        Some(self.group.entries).filter(|entries| !entries.is_empty())
    }

    fn matching(&self, entries: Vec<Entry>) -> Result<Vec<Entry>> {
        let Some(condition) = self.condition.as_ref().filter(|_| !entries.is_empty()) else { return Ok(entries) };
        let batch = RecordBatch::try_new(Arc::clone(&LISTED), columns(&entries).to_vec())?;
        let keep = filter::matching(condition, &batch)?;
        let kept = entries.into_iter().enumerate().filter(|(i, _)| keep.is_valid(*i) && keep.value(*i));
        Ok(kept.map(|(_, entry)| entry).collect())
    }
}

#[derive(Debug, Default)]
struct Group {
    entries: Vec<Entry>,
    bytes: u64,
}

impl Group {
    /// Adds `entry`, and gives back the group before it if that would be too large with it.
    fn push(&mut self, entry: Entry, size: GroupSize) -> Option<Vec<Entry>> {
        let bytes = entry.size.unwrap_or(0).max(0) as u64;
        let full = self.entries.len() >= size.rows || self.bytes.saturating_add(bytes) > size.bytes;
        let before = if full && !self.entries.is_empty() {
            self.bytes = 0;
            Some(std::mem::take(&mut self.entries))
        } else {
            None
        };
        self.bytes += bytes;
        self.entries.push(entry);
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(dir: &std::path::Path, limit: Option<usize>, rows: usize, bytes: u64) -> Vec<Vec<String>> {
        let mut groups = Vec::new();
        list(dir.to_str().unwrap(), Sieve::new(None, limit, GroupSize { rows, bytes }), |group| {
            groups.push(group.into_iter().map(|e| e.path[dir.to_str().unwrap().len() + 1..].to_owned()).collect());
            true
        })
        .unwrap();
        groups
    }

    #[test]
    fn groups_are_bounded_in_rows_and_bytes_and_by_the_limit() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [("a.png", 10), ("b.png", 10), ("c.png", 100), ("d.png", 1)] {
            std::fs::write(dir.path().join(name), vec![0; bytes]).unwrap();
        }
        assert_eq!(groups(dir.path(), None, 3, 1000), [vec!["a.png", "b.png", "c.png"], vec!["d.png"]]);
        assert_eq!(groups(dir.path(), None, 9, 20), [vec!["a.png", "b.png"], vec!["c.png"], vec!["d.png"]]);
        assert_eq!(groups(dir.path(), Some(2), 9, 1000), [["a.png", "b.png"]]);
        assert!(groups(dir.path(), Some(0), 9, 1000).is_empty());
    }

    #[test]
    fn whoever_wants_no_more_ends_the_walk() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..5 {
            std::fs::write(dir.path().join(format!("{i}.png")), b"").unwrap();
        }
        let mut taken = 0;
        let size = GroupSize { rows: 1, bytes: 1 };
        list(dir.path().to_str().unwrap(), Sieve::new(None, None, size), |_| {
            taken += 1;
            taken < 2
        })
        .unwrap();
        assert_eq!(taken, 2);
    }
}
