//! Behaviours by providers.

use std::fmt::Write;

use serde_json::Value;

/// A row for each behaviour, a column for each subject, and the reasons of what does not apply.
pub(super) fn table(reports: &[Value]) -> String {
    let subjects: Vec<&str> = reports.iter().map(|r| text(r, "subject")).collect();
    let width = |subject: &str| subject.len().max("passed".len()) + 2;
    let mut table = format!("{:<22}", "behaviour");
    for subject in &subjects {
        let _ = write!(table, "{subject:<0$}", width(subject));
    }
    table.push('\n');
    for name in names(reports) {
        let _ = write!(table, "{name:<22}");
        for (report, subject) in reports.iter().zip(&subjects) {
            let verdict = outcomes(report).find(|o| text(o, "name") == name).map_or("-", |o| text(o, "verdict"));
            let shown = if verdict == "failed" { "FAILED" } else { verdict };
            let _ = write!(table, "{shown:<0$}", width(subject));
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    for (report, subject) in reports.iter().zip(&subjects) {
        for outcome in outcomes(report).filter(|o| text(o, "verdict") == "cannot") {
            let _ = writeln!(table, "{subject} cannot {}: {}", text(outcome, "name"), text(outcome, "reason"));
        }
    }
    table
}

/// The same as a table of the guide, and below it the reasons, each once.
pub(super) fn markdown(reports: &[Value]) -> String {
    let subjects: Vec<&str> = reports.iter().map(|r| text(r, "subject")).collect();
    let mut table = format!("| behaviour | {} |\n|---|{}\n", subjects.join(" | "), ":-:|".repeat(subjects.len()));
    for name in names(reports) {
        let verdicts = reports.iter().map(|report| {
            let verdict = outcomes(report).find(|o| text(o, "name") == name).map_or("", |o| text(o, "verdict"));
            match verdict {
                "passed" => "yes",
                "cannot" => "—",
                other => other,
            }
        });
        let _ = writeln!(table, "| `{name}` | {} |", verdicts.collect::<Vec<_>>().join(" | "));
    }
    let mut reasons: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for (report, subject) in reports.iter().zip(&subjects) {
        for outcome in outcomes(report).filter(|o| text(o, "verdict") == "cannot") {
            let (name, reason) = (text(outcome, "name"), text(outcome, "reason"));
            match reasons.iter_mut().find(|(n, r, _)| (*n, *r) == (name, reason)) {
                Some((_, _, more)) => more.push(subject),
                None => reasons.push((name, reason, vec![subject])),
            }
        }
    }
    if !reasons.is_empty() {
        table.push_str("\nWhat does not apply, and why:\n\n");
    }
    for (name, reason, subjects) in reasons {
        let _ = writeln!(table, "- `{name}`, {}: {reason}", subjects.join("; "));
    }
    table
}

/// A line for each behaviour that failed.
pub(super) fn failures(reports: &[Value]) -> Vec<String> {
    let of_one = |report: &Value| -> Vec<String> {
        let failed = outcomes(report).filter(|o| text(o, "verdict") == "failed");
        failed.map(|o| format!("{}, {}: {}", text(report, "subject"), text(o, "name"), text(o, "reason"))).collect()
    };
    reports.iter().flat_map(of_one).collect()
}

/// The names of all behaviours, in the suite's order.
fn names(reports: &[Value]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for name in reports.iter().flat_map(outcomes).map(|o| text(o, "name")) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn outcomes(report: &Value) -> impl Iterator<Item = &Value> {
    report["behaviours"].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reports() -> Vec<Value> {
        vec![
            json!({ "subject": "a", "behaviours": [
                { "name": "order", "verdict": "passed" },
                { "name": "golden", "verdict": "cannot", "reason": "none were given" },
            ]}),
            json!({ "subject": "long-name", "behaviours": [{ "name": "order", "verdict": "failed", "reason": "row 3" }]}),
        ]
    }

    #[test]
    fn a_row_shows_each_verdict_and_what_was_not_run() {
        let table = table(&reports());
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[1], "order                 passed  FAILED");
        assert_eq!(lines[2], "golden                cannot  -");
        assert_eq!(lines[3], "a cannot golden: none were given");
    }

    #[test]
    fn the_guides_table_shows_the_same_and_each_reason_once() {
        let markdown = markdown(&reports());
        assert!(
            markdown.starts_with("| behaviour | a | long-name |\n|---|:-:|:-:|\n| `order` | yes | failed |\n"),
            "{markdown}"
        );
        assert!(markdown.ends_with("- `golden`, a: none were given\n"), "{markdown}");
    }

    #[test]
    fn failures_name_subject_behaviour_and_reason() {
        assert_eq!(failures(&reports()), ["long-name, order: row 3"]);
    }
}
