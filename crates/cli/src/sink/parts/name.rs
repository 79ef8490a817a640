//! What parts are called: after the number of their first row, so that their names sort in input order.

use std::collections::BTreeSet;

/// The name of the part that begins with row `first_row`.
pub(super) fn of(first_row: u64) -> String {
    format!("part-{first_row:012}.parquet")
}

/// The same, or one near it that is not taken.
pub(super) fn free(first_row: u64, taken: &BTreeSet<String>) -> String {
    let others = (1u64..).map(|n| format!("part-{first_row:012}-{n}.parquet"));
    let mut names = std::iter::once(of(first_row)).chain(others);
    names.find(|name| !taken.contains(name)).unwrap_or_else(|| of(first_row))
}

/// Whether a file is called like a part.
pub(super) fn is_part(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some(middle) = name.strip_prefix("part-").and_then(|rest| rest.strip_suffix(".parquet")) else { return false };
    let (row, number) = middle.split_once('-').unwrap_or((middle, "0"));
    row.len() >= 12 && digits(row) && digits(number)
}

/// What a file called like a part is renamed to if it is none.
pub(super) fn aside(name: &str, taken: &BTreeSet<String>) -> String {
    let others = (1u64..).map(|n| format!("{name}{ASIDE}-{n}"));
    let mut names = std::iter::once(format!("{name}{ASIDE}")).chain(others);
    names.find(|name| !taken.contains(name)).unwrap_or_else(|| format!("{name}{ASIDE}"))
}

/// Whether a file was renamed so.
pub(super) fn is_aside(name: &str) -> bool {
    name.contains(ASIDE)
}

const ASIDE: &str = ".aside";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_others_and_sort_by_row() {
        let taken: BTreeSet<String> = [of(7), "part-000000000007-1.parquet".to_owned()].into();
        let other = free(7, &taken);
        assert_eq!(other, "part-000000000007-2.parquet");
        assert_eq!(free(8, &taken), of(8));
        assert!(is_part(&of(0)) && is_part(&other) && is_part(&of(u64::MAX)));
        for name in
            ["part-0.parquet", "part-000000000000.csv", "part-00000000000x.parquet", "part-000000000000-.parquet", "x"]
        {
            assert!(!is_part(name), "{name}");
        }
        assert!(of(9) < of(10) && of(10) < of(999_999_999_999));
        assert!(!is_part(&aside(&other, &taken)) && is_aside(&aside(&other, &taken)));
    }
}
