//! `imbed inspect`: what is in a table, and in its column of vectors.

mod compare;

use std::{fmt::Write, path::Path};

use imbed::core::{Result, arrow::Provenance};
use serde_json::{Value, json};

use super::{print, print_json};
use crate::{
    args::InspectArgs,
    exit::{Blame, Outcome, Success},
    show,
    source::Table,
    vectors::{self, Vectors},
};

/// Bars of a sparkline at most.
const SPARKLINE: usize = 48;

pub(crate) fn run(args: &InspectArgs) -> Outcome {
    match args.files.as_slice() {
        [a, b] => compare::run(args, a, b),
        files => files.iter().try_fold(Success::Whole, |_, file| show(args, file)),
    }
}

/// What is in one table.
fn show(args: &InspectArgs, file: &Path) -> Outcome {
    let table = Table::open(file).usage()?;
    let column =
        vectors::choose(&table.schema, args.column.as_deref()).map_err(|e| e.context(file.display())).usage()?;
    let embedding = column.map(|index| Embedding::read(&table, index, args.rows)).transpose().fatal()?;
    let bytes = table.bytes().fatal()?;
    // Some formats know their number of rows only once they are read.
    let rows = table.rows.or(embedding.as_ref().map(|e| e.rows));
    if args.json {
        print_json(&to_json(&table, bytes, rows, embedding.as_ref())).fatal()?;
    } else {
        print(&to_text(&table, bytes, rows, embedding.as_ref())).fatal()?;
    }
    Ok(Success::Whole)
}

/// What a column of vectors holds.
struct Embedding {
    name: String,
    provenance: Option<Provenance>,
    rows: u64,
    nulls: u64,
    not_finite: u64,
    /// The shortest and the longest vector's numbers; `None` where every row is null.
    dimensions: Option<(usize, usize)>,
    /// Of the vectors whose numbers are all finite.
    norms: Option<Norms>,
    first: Vec<(Option<String>, Option<Vec<f32>>)>,
}

struct Norms {
    min: f64,
    max: f64,
    sum: f64,
    count: u64,
}

impl Embedding {
    fn read(table: &Table, index: usize, first: usize) -> Result<Self> {
        let field = table.schema.field(index);
        let key = vectors::choose_key(&table.schema, None)?;
        let mut embedding = Self {
            name: field.name().clone(),
            provenance: Provenance::from_metadata(field.metadata()),
            rows: 0,
            nulls: 0,
            not_finite: 0,
            dimensions: None,
            norms: None,
            first: Vec::new(),
        };
        let columns: Vec<usize> = [Some(index), key].into_iter().flatten().collect();
        for batch in table.read(Some(&columns))? {
            let batch = batch?;
            let column = |index: usize| batch.column_by_name(table.schema.field(index).name());
            let Some(vectors) = column(index) else { continue };
            let vectors = Vectors::of(vectors)?;
            if embedding.first.len() < first {
                let keys =
                    key.and_then(column).map(vectors::keys).transpose()?.unwrap_or_else(|| vec![None; vectors.len()]);
                let rows = keys.into_iter().zip(vectors.iter().map(|v| v.map(<[f32]>::to_vec)));
                let wanted = first - embedding.first.len();
                embedding.first.extend(rows.take(wanted));
            }
            vectors.iter().for_each(|vector| embedding.count(vector));
        }
        Ok(embedding)
    }

    fn count(&mut self, vector: Option<&[f32]>) {
        self.rows += 1;
        let Some(vector) = vector else {
            self.nulls += 1;
            return;
        };
        let n = vector.len();
        self.dimensions = Some(self.dimensions.map_or((n, n), |(least, most)| (least.min(n), most.max(n))));
        if !vector.iter().all(|v| v.is_finite()) {
            self.not_finite += 1;
            return;
        }
        let norm = vectors::norm(vector);
        let norms = self.norms.get_or_insert(Norms { min: norm, max: norm, sum: 0.0, count: 0 });
        norms.min = norms.min.min(norm);
        norms.max = norms.max.max(norm);
        norms.sum += norm;
        norms.count += 1;
    }
}

impl Norms {
    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

fn to_json(table: &Table, bytes: u64, rows: Option<u64>, embedding: Option<&Embedding>) -> Value {
    let columns: Vec<Value> = table
        .schema
        .fields()
        .iter()
        .map(|f| json!({ "name": f.name(), "type": f.data_type().to_string(), "nullable": f.is_nullable() }))
        .collect();
    let embedding = embedding.map(|e| {
        let provenance = e.provenance.as_ref().map(provenance_to_json);
        let first: Vec<Value> = e
            .first
            .iter()
            .enumerate()
            .map(|(row, (key, vector))| json!({ "row": row, "key": key, "vector": vector }))
            .collect();
        json!({
            "column": e.name,
            "provenance": provenance,
            "dimensions": e.dimensions.map(|(_, most)| most),
            "nulls": e.nulls,
            "not_finite": e.not_finite,
            "norms": e.norms.as_ref().map(|n| json!({ "min": n.min, "mean": n.mean(), "max": n.max })),
            "first": first,
        })
    });
    json!({ "file": table.path, "format": table.detail, "bytes": bytes, "rows": rows, "columns": columns, "embedding": embedding })
}

fn provenance_to_json(p: &Provenance) -> Value {
    json!({ "provider": p.provider, "model": p.model, "normalized": p.normalized, "weights": p.weights,
            "version": p.version, "options": p.options, "recipe": p.recipe })
}

fn to_text(table: &Table, bytes: u64, rows: Option<u64>, embedding: Option<&Embedding>) -> String {
    let rows = rows.map_or_else(|| "rows not counted".to_owned(), |n| show::count(n, "row"));
    let mut text = format!("{}: {}, {rows}, {}\n\ncolumns\n", table.path.display(), table.detail, show::bytes(bytes));
    let widest = table.schema.fields().iter().map(|f| f.name().chars().count()).max().unwrap_or(0);
    for field in table.schema.fields() {
        let _ = writeln!(text, "  {:<widest$}  {}", field.name(), field.data_type());
    }
    match embedding {
        Some(embedding) => describe(&mut text, &table.path, embedding),
        None => text.push_str("\nno column of vectors\n"),
    }
    text
}

fn describe(text: &mut String, file: &Path, e: &Embedding) {
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{}", format!("  {name:<12}{value}").trim_end());
    };
    line("", "");
    line("vectors in", &format!("column '{}' of {}", e.name, file.display()));
    match &e.provenance {
        Some(p) => {
            line("provider", &p.provider);
            line("model", &p.model);
            line("normalized", if p.normalized { "yes" } else { "no" });
            line("weights", p.weights.as_deref().unwrap_or("not known"));
            if !p.options.is_empty() {
                line("options", &Value::Object(p.options.clone()).to_string());
            }
            line("made by", &format!("imbed {}", p.version));
        }
        None => line("made by", "not recorded"),
    }
    match e.dimensions {
        Some((least, most)) if least == most => line("dimensions", &most.to_string()),
        Some((least, most)) => line("dimensions", &format!("differ: {least} to {most}")),
        None => line("dimensions", "no vector to tell by"),
    }
    line("null", &show::count(e.nulls, "row"));
    line("not finite", &show::count(e.not_finite, "row"));
    if let Some(norms) = &e.norms {
        line("norms", &format!("min {:.4}, mean {:.4}, max {:.4}", norms.min, norms.mean(), norms.max));
    }
    if e.first.is_empty() {
        return;
    }
    line("", "");
    for (row, (key, vector)) in e.first.iter().enumerate() {
        let shape = vector.as_ref().map_or_else(|| "null".to_owned(), |v| show::sparkline(v, SPARKLINE));
        let line = format!("  {row:>4}  {shape:<SPARKLINE$}  {}", key.as_deref().unwrap_or_default());
        let _ = writeln!(text, "{}", line.trim_end());
    }
}
