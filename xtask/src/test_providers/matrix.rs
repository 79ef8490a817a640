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
    fn failures_name_subject_behaviour_and_reason() {
        assert_eq!(failures(&reports()), ["long-name, order: row 3"]);
    }
}
