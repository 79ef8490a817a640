//! The tables.

use std::fmt::Write;

use super::{
    contest::{Figures, Outcome},
    numbers::{Samples, show},
};

/// A table's rows, the first of which are its headings.
struct Table(Vec<Vec<String>>);

impl Table {
    fn new(headings: &[&str]) -> Self {
        Self(vec![headings.iter().map(|&heading| heading.to_owned()).collect()])
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }

    fn markdown(&self) -> String {
        let mut text = String::new();
        for (i, row) in self.0.iter().enumerate() {
            let _ = writeln!(text, "| {} |", row.join(" | "));
            if i == 0 {
                let _ = writeln!(text, "|{}", "---|".repeat(row.len()));
            }
        }
        text
    }
}

/// All that is said of one model.
pub(crate) fn model(outcome: &Outcome) -> String {
    let mut text = format!("{}\n{}", stages(outcome), contestants(outcome));
    let lines = ratios(outcome);
    if !lines.is_empty() {
        let _ = write!(text, "\n{lines}");
    }
    for (name, why) in &outcome.failures {
        let _ = writeln!(text, "\n{name} took no part: {}", reason(why));
    }
    let versions: Vec<String> =
        outcome.versions().iter().map(|(name, v)| format!("{name} {}", v.as_str().unwrap_or("?"))).collect();
    if !versions.is_empty() {
        let _ = writeln!(text, "\nVersions: {}.", versions.join(", "));
    }
    text
}

/// The line of a failure that says why: imbed's first, Python's last.
pub(crate) fn reason(why: &str) -> &str {
    let mut lines = why.lines().map(str::trim).filter(|line| !line.is_empty());
    let last = lines.clone().next_back().unwrap_or("it failed");
    lines.find_map(|line| line.strip_prefix("error: ")).unwrap_or(last)
}

/// Where imbed's time goes, and how near it comes to what the machine allows.
fn stages(outcome: &Outcome) -> String {
    let mut table = Table::new(&[
        "imbed",
        "model only, ms an image",
        "of the ceiling",
        "prepare only, images/s",
        "both allow, images/s",
        "end to end without start-up, images/s",
        "of what both allow",
    ]);
    for figures in outcome.figures.iter().filter(|f| f.who.is_imbed()) {
        let pairs = outcome.prepare.0.iter().zip(&figures.model.0);
        let allowed: Samples = pairs.map(|(prepared, ms)| allowed(*prepared, 1e3 / ms, outcome.on_gpu)).collect();
        let pace = figures.pace(outcome.images);
        let share = outcome.macs.zip(outcome.ceiling(&figures.who.dtype)).map(|(macs, ceiling)| {
            let reached: Samples = figures.model.0.iter().map(|ms| 2.0 * macs / (ms / 1e3) / 1e9).collect();
            reached.over(ceiling)
        });
        table.row([
            figures.who.setting().to_owned(),
            figures.model.show(3),
            share.map_or_else(|| "-".to_owned(), |share| share.show(2)),
            outcome.prepare.show(0),
            allowed.show(1),
            pace.show(1),
            pace.over(&allowed).show(2),
        ]);
    }
    let dtypes: &[&str] = if outcome.on_gpu { &["f32", "bf16"] } else { &["f32", "bf16", "int8"] };
    let ceilings: Vec<String> = dtypes
        .iter()
        .map(|dtype| format!("{dtype} {}", show(outcome.ceiling(dtype).and_then(Samples::median), 0)))
        .collect();
    let whose = if outcome.on_gpu {
        "A product of 8192 x 8192 x 8192 by the vendor's library"
    } else {
        "Ceilings of all cores"
    };
    format!(
        "{}\n{whose}, 10^9 operations a second: {}. An image takes {} of them; the model alone is given {} at once.\n",
        table.markdown(),
        ceilings.join(", "),
        outcome.macs.map_or_else(|| "-".to_owned(), |macs| format!("{:.2}", 2.0 * macs / 1e9)),
        outcome.batch,
    )
}

/// Images a second, of what can be prepared and what can be embedded a second: both on the same cores, or side by side.
fn allowed(prepared: f64, embedded: f64, side_by_side: bool) -> f64 {
    if side_by_side { prepared.min(embedded) } else { 1.0 / (1.0 / prepared + 1.0 / embedded) }
}

/// Everybody, in whole processes.
fn contestants(outcome: &Outcome) -> String {
    let mut table = Table::new(&[
        "",
        "images/s, whole process",
        "imbed of that type is so many times as fast",
        "one image, s",
        "model only, ms an image",
        "peak MiB",
        "centred cosine to imbed f32, smallest",
    ]);
    let reference = outcome.figures.iter().find(|f| f.who.is_imbed() && f.who.dtype == "f32");
    for figures in &outcome.figures {
        let ours = ours(outcome, &figures.who.dtype).filter(|_| !figures.who.is_imbed());
        let ratio = ours.map(|ours| figures.whole.over(&ours.whole));
        let alike = reference.and_then(|r| r.vectors.as_ref()).zip(figures.vectors.as_ref());
        let alike = alike.map(|(reference, vectors)| match reference.alike(vectors) {
            Ok((smallest, _)) => format!("{smallest:.6}"),
            Err(error) => format!("{error}"),
        });
        table.row([
            figures.who.shown(),
            figures.speed(outcome.images).show(1),
            ratio.map_or_else(String::new, |ratio| ratio.show(2)),
            figures.one.show(2),
            figures.model.show(3),
            show(figures.peak.0.iter().copied().reduce(f64::max), 0),
            alike.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.markdown()
}

/// The ratios that are claimed, each a median over rounds.
fn ratios(outcome: &Outcome) -> String {
    let mut text = String::new();
    for dtype in ["f32", "bf16", "int8"] {
        let peers = outcome.figures.iter().filter(|f| !f.who.is_imbed() && f.who.dtype == dtype);
        if let Some((ours, peer)) = ours(outcome, dtype).zip(peers.min_by(|a, b| slower(a, b))) {
            let _ = writeln!(
                text,
                "- {dtype}: {} times the fastest peer ({}).",
                peer.whole.over(&ours.whole).show(2),
                peer.who.shown()
            );
        }
    }
    let best = outcome.figures.iter().filter(|f| f.who.is_imbed()).min_by(|a, b| slower(a, b));
    let daft = outcome.figures.iter().filter(|f| f.who.name.starts_with("daft")).min_by(|a, b| slower(a, b));
    if let Some((best, daft)) = best.zip(daft) {
        let ratio = daft.whole.over(&best.whole).show(2);
        let _ = writeln!(
            text,
            "- The best of imbed ({}): {ratio} times Daft at its best ({}).",
            best.who.setting(),
            daft.who.shown()
        );
    }
    text
}

/// imbed in a number type, the fastest if it has several ways.
fn ours<'a>(outcome: &'a Outcome, dtype: &str) -> Option<&'a Figures> {
    outcome.figures.iter().filter(|f| f.who.is_imbed() && f.who.dtype == dtype).min_by(|a, b| slower(a, b))
}

fn slower(a: &Figures, b: &Figures) -> std::cmp::Ordering {
    a.whole.median().unwrap_or(f64::INFINITY).total_cmp(&b.whole.median().unwrap_or(f64::INFINITY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_quoted_by_the_line_that_says_why() {
        assert_eq!(reason("imbed embed failed (1):\nerror: no such dtype\n  use f32"), "no such dtype");
        assert_eq!(reason("python failed:\nTraceback\n  File x\nValueError: no\n"), "ValueError: no");
        assert_eq!(reason(""), "it failed");
    }

    #[test]
    fn cores_that_do_both_need_the_time_of_both() {
        assert_eq!(allowed(100.0, 100.0, false), 50.0);
        assert_eq!(allowed(100.0, 300.0, true), 100.0);
    }

    #[test]
    fn a_table_has_a_line_under_its_headings() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["1".to_owned(), "2".to_owned()]);
        assert_eq!(table.markdown(), "| a | b |\n|---|---|\n| 1 | 2 |\n");
    }
}
