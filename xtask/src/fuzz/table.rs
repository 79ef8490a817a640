//! What fuzzing found, as a table of the guide that later runs add to.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::page::Page;

pub(super) const PAGE: Page = Page("docs/fuzzing.md");
const HEADINGS: &str = "| target | executions | minutes | branches covered | peak MiB | crashes in these runs |\n\
                        |---|--:|--:|--:|--:|--:|\n";

/// A target's figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    pub(super) target: String,
    executions: u64,
    seconds: u64,
    covered: u64,
    peak: u64,
    pub(super) crashes: u64,
}

impl Row {
    /// Of what libFuzzer said.
    pub(super) fn read(target: &str, said: &str, seconds: u64, crashes: u64) -> Self {
        let number = |text: &str| text.split_whitespace().next().and_then(|word| word.parse().ok());
        let after = |name: &str| said.rfind(name).and_then(|at| number(&said[at + name.len()..])).unwrap_or(0);
        Self {
            target: target.to_owned(),
            executions: after("stat::number_of_executed_units:"),
            seconds,
            covered: after(" cov: "),
            peak: after("stat::peak_rss_mb:"),
            crashes,
        }
    }

    /// For people who wait.
    pub(super) fn line(&self) -> String {
        let Self { target, executions, seconds, covered, peak, crashes } = self;
        format!("{target}: {executions} executions in {seconds} s, {covered} covered, {peak} MiB, {crashes} crashes")
    }

    fn markdown(&self) -> String {
        let Self { target, executions, covered, peak, crashes, .. } = self;
        let minutes = self.seconds as f64 / 60.0;
        format!("| `{target}` | {executions} | {minutes:.1} | {covered} | {peak} | {crashes} |\n")
    }

    fn of_markdown(line: &str) -> Option<Self> {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &["", target, executions, minutes, covered, peak, crashes, ""] = cells.as_slice() else { return None };
        Some(Self {
            target: target.strip_prefix('`')?.strip_suffix('`')?.to_owned(),
            executions: executions.parse().ok()?,
            seconds: (minutes.parse::<f64>().ok()? * 60.0).round() as u64,
            covered: covered.parse().ok()?,
            peak: peak.parse().ok()?,
            crashes: crashes.parse().ok()?,
        })
    }

    fn plus(&self, other: &Self) -> Self {
        Self {
            target: self.target.clone(),
            executions: self.executions + other.executions,
            seconds: self.seconds + other.seconds,
            covered: self.covered.max(other.covered),
            peak: self.peak.max(other.peak),
            crashes: self.crashes + other.crashes,
        }
    }
}

pub(super) fn markdown(rows: &[Row]) -> String {
    rows.iter().fold(HEADINGS.to_owned(), |text, row| text + &row.markdown())
}

/// Adds the figures to those of the page.
pub(super) fn add(rows: &[Row]) -> Result<()> {
    let old = PAGE.read("fuzz")?;
    let mut all: BTreeMap<String, Row> =
        old.lines().filter_map(Row::of_markdown).map(|row| (row.target.clone(), row)).collect();
    for row in rows {
        let sum = all.get(&row.target).map_or_else(|| row.clone(), |old| old.plus(row));
        all.insert(row.target.clone(), sum);
    }
    let rows: Vec<Row> = all.into_values().collect();
    PAGE.write("fuzz", &markdown(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "#9 NEW cov: 12 ft: 13 corp: 2/3b\n#99 DONE   cov: 345 ft: 999 corp: 5/6b\n\
                        stat::number_of_executed_units: 123456\nstat::peak_rss_mb:            77\n";

    #[test]
    fn what_libfuzzer_says_becomes_a_line_that_is_read_again() {
        let row = Row::read("decode_gif", SAID, 90, 0);
        assert_eq!((row.executions, row.covered, row.peak), (123_456, 345, 77));
        assert_eq!(row.markdown(), "| `decode_gif` | 123456 | 1.5 | 345 | 77 | 0 |\n");
        assert_eq!(Row::of_markdown(row.markdown().trim()), Some(row));
        assert!(HEADINGS.lines().all(|line| Row::of_markdown(line).is_none()));
    }

    #[test]
    fn runs_add_up() {
        let row = Row::read("x", SAID, 90, 1);
        let twice = row.plus(&row);
        assert_eq!((twice.executions, twice.seconds, twice.covered, twice.crashes), (246_912, 180, 345, 2));
    }

    #[test]
    fn the_page_has_a_place_for_each_part() {
        assert!(PAGE.read("fuzz").is_ok() && PAGE.read("mutations").is_ok());
    }
}
