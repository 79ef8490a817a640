//! Rows of an output, counted and held against those of the undisturbed run by SQL.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Stage, local::UNDISTURBED};

/// What an output must have.
pub(super) struct Expected {
    pub(super) rows: u32,
    /// Of these, rows without a vector.
    pub(super) failed: u32,
}

/// What it has.
pub(super) struct Held {
    rows: u64,
    paths: u64,
    vectors: u64,
    /// Rows with another vector than in the undisturbed run, or that are in one of the two only.
    unlike: u64,
}

impl Held {
    pub(super) fn cells(&self) -> String {
        format!("{} | {} | {} | {}", self.rows, self.paths, self.vectors, self.unlike)
    }

    pub(super) fn is_exact(&self, expected: &Expected) -> bool {
        let (rows, failed) = (u64::from(expected.rows), u64::from(expected.failed));
        self.rows == rows && self.paths == rows && self.vectors == rows - failed && self.unlike == 0
    }
}

/// The files of the run `name`.
pub(super) fn against(stage: &Stage, name: &str) -> Result<Held> {
    let counts = one_row(
        stage,
        "SELECT count(*) AS rows, count(DISTINCT path) AS paths, count(embedding) AS vectors FROM t",
        &[("t", name)],
    )?;
    // A cluster is given the folder by its absolute name.
    let short =
        |table: &str| format!("(SELECT regexp_replace(path, '^.*/shots/', 'shots/') AS path, embedding FROM {table})");
    let query = format!(
        "SELECT count(*) AS unlike FROM {} a FULL JOIN {} b ON a.path = b.path WHERE a.path IS NULL OR b.path IS NULL \
         OR (a.embedding IS NULL) <> (b.embedding IS NULL) OR euclidean_distance(a.embedding, b.embedding) > 0",
        short("expected"),
        short("t")
    );
    let unlike = one_row(stage, &query, &[("expected", UNDISTURBED), ("t", name)])?;
    let number = |row: &Value, name: &str| row[name].as_u64().with_context(|| format!("SQL gives no {name}: {row}"));
    Ok(Held {
        rows: number(&counts, "rows")?,
        paths: number(&counts, "paths")?,
        vectors: number(&counts, "vectors")?,
        unlike: number(&unlike, "unlike")?,
    })
}

/// The only row of a query over tables, which are folders.
fn one_row(stage: &Stage, query: &str, tables: &[(&str, &str)]) -> Result<Value> {
    let mut command = stage.imbed(&["sql", "--json", query]);
    for (table, folder) in tables {
        command.arg("--table").arg(format!("{table}={folder}"));
    }
    let ended = command.output()?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{query} failed ({}):\n{said}", ended.status);
    serde_json::from_slice(&ended.stdout).with_context(|| format!("{query} gives no row"))
}
