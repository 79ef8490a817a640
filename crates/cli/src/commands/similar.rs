//! `imbed similar`: the rows nearest to an image or a row, by cosine.
//!
//! The table is read twice, once for the query and once for the neighbours, and never held: only the best rows are kept.

use std::{cmp::Ordering, collections::BinaryHeap, fmt::Write, path::Path, sync::Arc};

use arrow_array::{ArrayRef, StringArray, cast::AsArray, types::Float32Type};
use imbed::{
    core::{
        Error, ErrorKind, Registry, Result, Session,
        arrow::{Comparison, Provenance},
        options::OptionMap,
        session::Request,
    },
    engine::{Engine, Images},
};
use serde_json::json;

use super::{print, print_json};
use crate::{
    args::SimilarArgs,
    exit::{Blame, Outcome, Success},
    source::Table,
    vectors::{self, Vectors},
};

pub(crate) fn run(args: &SimilarArgs) -> Outcome {
    let named = |e: Error| e.context(args.file.display());
    let table = Table::open(&args.file).usage()?;
    let column = vectors::choose(&table.schema, args.column.as_deref()).map_err(named).usage()?;
    let column = column
        .ok_or_else(|| {
            named(Error::new(ErrorKind::BadInput, "there is no column of vectors"))
                .hint("make one with `imbed embed`; `imbed inspect` shows the columns")
        })
        .usage()?;
    let key = vectors::choose_key(&table.schema, args.key.as_deref()).map_err(named).usage()?;
    let searched = Searched { table, column, key };
    let query = match (&args.to, args.row) {
        (Some(to), _) => searched.query(to)?,
        (None, row) => searched.row(row.unwrap_or_default())?,
    };
    let neighbours = searched.nearest(&query, args.top).fatal()?;
    if args.json {
        print_json(&to_json(&query, &neighbours)).fatal()?;
    } else {
        print(&to_text(&query, &neighbours)).fatal()?;
    }
    Ok(Success::Whole)
}

/// A table with the columns that matter here.
struct Searched {
    table: Table,
    column: usize,
    key: Option<usize>,
}

/// What neighbours are looked for.
struct Query {
    /// The row that it is, where it is one of the table's.
    row: Option<u64>,
    /// How it was named, or the row's key.
    name: Option<String>,
    vector: Vec<f32>,
}

impl Searched {
    /// Calls `visit` with each row's number, key and vector, until it gives `false`.
    fn each(&self, mut visit: impl FnMut(u64, Option<String>, Option<&[f32]>) -> bool) -> Result<()> {
        let columns: Vec<usize> = [Some(self.column), self.key].into_iter().flatten().collect();
        let mut row = 0;
        for batch in self.table.read(Some(&columns))? {
            let batch = batch?;
            let column = |index: usize| batch.column_by_name(self.table.schema.field(index).name());
            let Some(vectors) = column(self.column) else { continue };
            let vectors = Vectors::of(vectors)?;
            let keys =
                self.key.and_then(column).map(vectors::keys).transpose()?.unwrap_or_else(|| vec![None; vectors.len()]);
            for (key, vector) in keys.into_iter().zip(vectors.iter()) {
                if !visit(row, key, vector) {
                    return Ok(());
                }
                row += 1;
            }
        }
        Ok(())
    }

    /// The row with this number.
    fn row(&self, wanted: u64) -> Result<Query, crate::exit::Failure> {
        let mut found = None;
        let mut rows = 0;
        self.each(|row, key, vector| {
            rows = row + 1;
            if row == wanted {
                found = Some((key, vector.map(<[f32]>::to_vec)));
            }
            found.is_none()
        })
        .fatal()?;
        let (name, vector) = found
            .ok_or_else(|| Error::new(ErrorKind::BadInput, format!("there is no row {wanted}: the table has {rows}")))
            .usage()?;
        let vector = vector.ok_or_else(|| null_row(wanted)).usage()?;
        Ok(Query { row: Some(wanted), name, vector })
    }

    /// The row whose key is `to` or ends in it as a path does, or else the image file `to`.
    fn query(&self, to: &str) -> Result<Query, crate::exit::Failure> {
        let mut exact = None;
        let mut endings: Vec<(u64, String, Option<Vec<f32>>)> = Vec::new();
        self.each(|row, key, vector| {
            let Some(key) = key else { return true };
            if key == to {
                exact = Some((row, key, vector.map(<[f32]>::to_vec)));
            } else if endings.len() < 2 && is_path_ending(&key, to) {
                endings.push((row, key, vector.map(<[f32]>::to_vec)));
            }
            exact.is_none()
        })
        .fatal()?;
        if let ([first, second, ..], None) = (endings.as_slice(), &exact) {
            return Err(crate::exit::Failure::Usage(
                Error::new(
                    ErrorKind::BadInput,
                    format!("'{to}' is the end of several keys: {}, {}", first.1, second.1),
                )
                .hint("write more of the path, or use --row"),
            ));
        }
        if let Some((row, key, vector)) = exact.or_else(|| endings.pop()) {
            let vector = vector.ok_or_else(|| null_row(row)).usage()?;
            return Ok(Query { row: Some(row), name: Some(key), vector });
        }
        if !Path::new(to).is_file() {
            let key = self.key.map_or("no column that names rows", |k| self.table.schema.field(k).name());
            return Err(crate::exit::Failure::Usage(
                Error::new(
                    ErrorKind::BadInput,
                    format!("'{to}' is neither a key of {} nor a file", self.table.path.display()),
                )
                .hint(format!("keys are looked for in: {key} (see --key); --row N takes a row by its number")),
            ));
        }
        self.embed(to)
    }

    /// The image file `to`, through the model that made the column.
    fn embed(&self, to: &str) -> Result<Query, crate::exit::Failure> {
        let field = self.table.schema.field(self.column);
        let made = Provenance::from_metadata(field.metadata())
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::BadInput,
                    format!("'{to}' is not in the table, and column '{}' does not say what made it", field.name()),
                )
                .hint("only columns written by imbed to Parquet or Arrow know their model")
            })
            .usage()?;
        let mut options = OptionMap::default();
        options.lay_over(made.options.clone());
        let request = Request { provider: Some(made.provider.clone()), model: Some(made.model.clone()), options };
        // What made the column decides, so neither imbed.toml nor the environment is asked.
        let resolved = Session::new(Registry::linked())
            .resolve(&request)
            .map_err(|e| e.context("the model that made the column"))
            .usage()?;
        let engine = Engine::builder(resolved.descriptor).build().usage()?;
        let now = engine.field(field.name()).fatal()?;
        let width = engine.plan().dimensions;
        // Every vector of the column has its width; `nearest` finds those that do not.
        let now = Provenance::from_metadata(now.metadata());
        let comparison = Comparison::new((Some(&made), width), (now.as_ref(), width));
        if !comparison.comparable() {
            return Err(crate::exit::Failure::Usage(
                Error::new(
                    ErrorKind::Model,
                    format!(
                        "the model '{}' is not any more what made the column: {}",
                        made.model,
                        comparison.reasons.join("; ")
                    ),
                )
                .hint("their vectors cannot be compared; embed the table again, or find the model of that time"),
            ));
        }
        let path: ArrayRef = Arc::new(StringArray::from(vec![to]));
        let embedded = engine.embed_array(Images::Paths(path)).fatal()?;
        if let Some(error) = embedded.errors.into_iter().next() {
            return Err(error.into_error()).fatal();
        }
        let vector = embedded.embeddings.values().as_primitive::<Float32Type>().values().to_vec();
        Ok(Query { row: None, name: Some(to.to_owned()), vector })
    }

    /// The `top` rows with the largest cosine, the largest first.
    fn nearest(&self, query: &Query, top: usize) -> Result<Vec<Neighbour>> {
        let length = vectors::norm(&query.vector);
        if !length.is_finite() || length == 0.0 {
            return Err(Error::new(
                ErrorKind::BadInput,
                "the query's vector has no direction: it is zero or not finite",
            ));
        }
        let mut best: BinaryHeap<Neighbour> = BinaryHeap::new();
        let mut other_length = None;
        self.each(|row, key, vector| {
            let Some(vector) = vector else { return true };
            if vector.len() != query.vector.len() {
                other_length = Some((row, vector.len()));
                return false;
            }
            let norm = vectors::norm(vector);
            if Some(row) != query.row && norm > 0.0 && norm.is_finite() {
                let cosine = vectors::dot(vector, &query.vector) / (norm * length);
                best.push(Neighbour { cosine, row, key });
                if best.len() > top {
                    best.pop();
                }
            }
            true
        })?;
        match other_length {
            Some((row, n)) => Err(Error::new(
                ErrorKind::Dimensions,
                format!("row {row} has {n} numbers, and the query has {}", query.vector.len()),
            )),
            None => Ok(best.into_sorted_vec()),
        }
    }
}

fn null_row(row: u64) -> Error {
    Error::new(ErrorKind::BadInput, format!("row {row} has no vector: its image was missing or failed"))
}

/// Whether `key`, read as a path, ends in the path `end`.
fn is_path_ending(key: &str, end: &str) -> bool {
    let end = end.strip_prefix("./").unwrap_or(end);
    key.strip_suffix(end).is_some_and(|rest| !end.is_empty() && (rest.is_empty() || rest.ends_with(['/', '\\'])))
}

/// A row and how near it is. The nearest is the least, and of equals the one that comes first.
#[derive(Debug)]
struct Neighbour {
    cosine: f64,
    row: u64,
    key: Option<String>,
}

impl Ord for Neighbour {
    fn cmp(&self, other: &Self) -> Ordering {
        other.cosine.total_cmp(&self.cosine).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Neighbour {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Neighbour {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Neighbour {}

fn to_json(query: &Query, neighbours: &[Neighbour]) -> serde_json::Value {
    let query = match query.row {
        Some(row) => json!({ "row": row, "key": query.name }),
        None => json!({ "image": query.name }),
    };
    let neighbours: Vec<_> = neighbours
        .iter()
        .enumerate()
        .map(|(i, n)| json!({ "rank": i + 1, "cosine": n.cosine, "row": n.row, "key": n.key }))
        .collect();
    json!({ "query": query, "neighbours": neighbours })
}

fn to_text(query: &Query, neighbours: &[Neighbour]) -> String {
    let name = query.name.as_deref().unwrap_or_default();
    let mut text = match query.row {
        Some(row) => format!("nearest to row {row}  {name}\n"),
        None => format!("nearest to {name}\n"),
    };
    text.push_str("rank   cosine       row  key\n");
    for (i, n) in neighbours.iter().enumerate() {
        let _ =
            writeln!(text, "{:>4}  {:>7.4}  {:>8}  {}", i + 1, n.cosine, n.row, n.key.as_deref().unwrap_or_default());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_ends_at_separators_only() {
        assert!(is_path_ending("a/b/c.jpg", "c.jpg"));
        assert!(is_path_ending("a/b/c.jpg", "b/c.jpg"));
        assert!(is_path_ending("c.jpg", "./c.jpg"));
        assert!(!is_path_ending("a/bc.jpg", "c.jpg"));
        assert!(!is_path_ending("a/b.jpg", ""));
    }

    #[test]
    fn the_heap_drops_the_farthest_and_keeps_the_first_of_equals() {
        let neighbour = |cosine, row| Neighbour { cosine, row, key: None };
        let mut heap: BinaryHeap<Neighbour> = [neighbour(0.5, 0), neighbour(0.9, 1), neighbour(0.5, 2)].into();
        assert_eq!(heap.pop().unwrap().row, 2);
        let sorted: Vec<u64> = heap.into_sorted_vec().into_iter().map(|n| n.row).collect();
        assert_eq!(sorted, [1, 0]);
    }
}
