//! Rows of two outputs, held against each other by key, vector and order.

use std::collections::BTreeMap;

/// A row: its key, and its vector as text with every bit in it; no vector where it failed.
pub(crate) type Row = (String, Option<String>);

/// Rows that are not as they should be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Rows that are expected and are not there.
    pub(crate) lost: usize,
    /// Rows that are there once more than expected, or are not expected at all.
    pub(crate) doubled: usize,
    /// Rows with another vector, or with one where there should be none.
    pub(crate) swapped: usize,
    /// Rows at another place, where none is lost or doubled.
    pub(crate) out_of_order: usize,
}

impl Difference {
    pub(crate) fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.swapped += other.swapped;
        self.out_of_order += other.out_of_order;
    }
}

pub(crate) fn rows(expected: &[Row], found: &[Row]) -> Difference {
    let mut difference = Difference::default();
    let (expected_by, mut found_by) = (by_key(expected), by_key(found));
    for (key, wanted) in &expected_by {
        let there = found_by.remove(key).unwrap_or_default();
        difference.lost += wanted.len().saturating_sub(there.len());
        difference.doubled += there.len().saturating_sub(wanted.len());
        difference.swapped += wanted.iter().zip(&there).filter(|(a, b)| a != b).count();
    }
    difference.doubled += found_by.values().map(Vec::len).sum::<usize>();
    if difference.lost + difference.doubled == 0 {
        difference.out_of_order = expected.iter().zip(found).filter(|(a, b)| a.0 != b.0).count();
    }
    difference
}

fn by_key(rows: &[Row]) -> BTreeMap<&str, Vec<Option<&str>>> {
    let mut by_key: BTreeMap<&str, Vec<Option<&str>>> = BTreeMap::new();
    for (key, vector) in rows {
        by_key.entry(key).or_default().push(vector.as_deref());
    }
    by_key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, vector: &str) -> Row {
        (key.to_owned(), (!vector.is_empty()).then(|| vector.to_owned()))
    }

    #[test]
    fn each_way_of_being_wrong_is_counted_as_what_it_is() {
        let expected = [row("a", "1"), row("b", "2"), row("c", "")];
        let difference = |found: &[Row]| rows(&expected, found);
        assert_eq!(difference(&expected), Difference::default());
        assert_eq!(difference(&expected[1..]), Difference { lost: 1, ..Difference::default() });
        let doubled = [&expected[..], &expected[..1], &[row("d", "4")]].concat();
        assert_eq!(difference(&doubled), Difference { doubled: 2, ..Difference::default() });
        let swapped = [row("a", "2"), row("b", "1"), row("c", "3")];
        assert_eq!(difference(&swapped), Difference { swapped: 3, ..Difference::default() });
        let moved = [row("b", "2"), row("a", "1"), row("c", "")];
        assert_eq!(difference(&moved), Difference { out_of_order: 2, ..Difference::default() });
    }
}
