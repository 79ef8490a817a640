//! What tells whether a row is the one that an earlier run embedded: a hash of where its image is and of what the file system says of it.

use std::{fs, path::Path, time::UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Of one row. Equal ones are taken for the same image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct RowId([u8; 16]);

impl RowId {
    /// Of no row.
    pub(crate) const NONE: Self = Self([0; 16]);

    /// Of the file at `path` as it is now: its size, and when it was last changed.
    ///
    /// Taken before the file is read: one that changes later has another identity, and is embedded again.
    pub(crate) fn of_file(path: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("imbed row: a file");
        state(&mut hasher, Path::new(path));
        hasher.update(path.as_bytes());
        Self::from(&hasher)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn from(hasher: &blake3::Hasher) -> Self {
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        Self(id)
    }

    #[cfg(test)]
    pub(crate) fn numbered(n: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("imbed row: a test's");
        hasher.update(&n.to_le_bytes());
        Self::from(&hasher)
    }
}

impl std::fmt::Display for RowId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<RowId> for String {
    fn from(id: RowId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for RowId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = u128::from_str_radix(&text, 16).ok().filter(|_| text.len() == 32);
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(|| format!("'{text}' is no identity of a row"))
    }
}

/// A table as it is now, of which each row has an identity.
#[derive(Debug, Clone)]
pub(super) struct TableId(blake3::Hasher);

impl TableId {
    pub(super) fn of(path: &Path) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("imbed row: in a table");
        state(&mut hasher, path);
        let path = path.as_os_str().as_encoded_bytes();
        hasher.update(&(path.len() as u64).to_le_bytes()).update(path);
        Self(hasher)
    }

    /// Of row `number`; `path` is the file of its image, where the table names files.
    pub(super) fn row(&self, number: u64, path: Option<&str>) -> RowId {
        let mut hasher = self.0.clone();
        hasher.update(&number.to_le_bytes());
        if let Some(path) = path {
            state(&mut hasher, Path::new(path));
            hasher.update(path.as_bytes());
        }
        RowId::from(&hasher)
    }
}

/// Puts in the size of a file and when it was last changed, or that it cannot be seen.
fn state(hasher: &mut blake3::Hasher, path: &Path) {
    let (size, seconds, nanoseconds) = match fs::metadata(path) {
        Ok(metadata) => {
            let changed = metadata.modified().ok();
            let since = changed.map(|time| match time.duration_since(UNIX_EPOCH) {
                Ok(after) => (after.as_secs() as i64, after.subsec_nanos()),
                Err(before) => (-(before.duration().as_secs() as i64) - 1, before.duration().subsec_nanos()),
            });
            let (seconds, nanoseconds) = since.unwrap_or_default();
            (metadata.len(), seconds, nanoseconds)
        }
        Err(_) => (u64::MAX, i64::MIN, 0),
    };
    hasher.update(&size.to_le_bytes()).update(&seconds.to_le_bytes()).update(&nanoseconds.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_file_that_changed_in_any_way_has_another_identity() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let name = path.to_str().unwrap();
        let missing = RowId::of_file(name);
        assert_eq!(missing, RowId::of_file(name));
        fs::write(&path, b"abc").unwrap();
        let set = |time| fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        set(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_000_000_001));
        let first = RowId::of_file(name);
        set(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_000_000_002));
        let touched = RowId::of_file(name);
        fs::write(&path, b"abcd").unwrap();
        set(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_000_000_001));
        let longer = RowId::of_file(name);
        set(SystemTime::UNIX_EPOCH - Duration::from_nanos(1_000_000_001));
        let older = RowId::of_file(name);
        fs::rename(&path, dir.path().join("b.png")).unwrap();
        let moved = RowId::of_file(dir.path().join("b.png").to_str().unwrap());
        let all = [missing, first, touched, longer, older, moved];
        for (i, id) in all.iter().enumerate() {
            assert!(!all[..i].contains(id), "{i}");
        }
    }

    #[test]
    fn rows_of_a_table_are_told_apart_by_number_and_by_the_file_they_name() {
        let dir = tempfile::tempdir().unwrap();
        let (table, image) = (dir.path().join("t.csv"), dir.path().join("a.png"));
        fs::write(&table, b"path\na.png\n").unwrap();
        let image = image.to_str().unwrap();
        let id = TableId::of(&table);
        assert_eq!(id.row(3, None), TableId::of(&table).row(3, None));
        assert_ne!(id.row(3, None), id.row(4, None));
        let missing = id.row(3, Some(image));
        fs::write(image, b"x").unwrap();
        assert_ne!(missing, id.row(3, Some(image)));
        fs::write(&table, b"path\nb.png\nc.png\n").unwrap();
        assert_ne!(id.row(3, None), TableId::of(&table).row(3, None));
    }
}
