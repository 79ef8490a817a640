//! `imbed inspect A B`: whether vectors of two files may stand beside each other.

use std::{fmt::Write, path::Path};

use imbed::core::{
    Error, ErrorKind, Result,
    arrow::{Comparison, Provenance},
};
use serde_json::{Value, json};

use super::provenance_to_json;
use crate::{
    args::InspectArgs,
    commands::{print, print_json},
    exit::{Blame, Outcome, Success},
    source::Table,
    vectors::{self, Vectors},
};

pub(super) fn run(args: &InspectArgs, a: &Path, b: &Path) -> Outcome {
    let (a, b) = (Column::open(a, args.column.as_deref()).usage()?, Column::open(b, args.column.as_deref()).usage()?);
    let comparison = Comparison::new((a.provenance.as_ref(), a.dimensions), (b.provenance.as_ref(), b.dimensions));
    if args.json {
        let files = [&a, &b].map(Column::to_json);
        print_json(&json!({ "files": files, "comparable": comparison.comparable(), "reasons": comparison.reasons,
                            "cautions": comparison.cautions }))
        .fatal()?;
    } else {
        print(&to_text(&a, &b, &comparison)).fatal()?;
    }
    Ok(if comparison.comparable() { Success::Whole } else { Success::No })
}

/// The column of vectors of one file.
struct Column<'a> {
    file: &'a Path,
    name: String,
    provenance: Option<Provenance>,
    dimensions: usize,
}

impl<'a> Column<'a> {
    fn open(file: &'a Path, asked: Option<&str>) -> Result<Self> {
        Self::find(file, asked).map_err(|e| e.context(file.display()))
    }

    fn find(file: &'a Path, asked: Option<&str>) -> Result<Self> {
        let table = Table::open(file)?;
        let Some(index) = vectors::choose(&table.schema, asked)? else {
            return Err(Error::new(ErrorKind::BadInput, "there is no column of vectors")
                .hint("make one with `imbed embed`; `imbed inspect FILE` shows the columns"));
        };
        let field = table.schema.field(index);
        let provenance = Provenance::from_metadata(field.metadata());
        let dimensions = match field.data_type() {
            arrow_schema::DataType::FixedSizeList(_, size) => *size as usize,
            _ => first_length(&table, index)?,
        };
        Ok(Self { file, name: field.name().clone(), provenance, dimensions })
    }

    fn to_json(&self) -> Value {
        json!({ "file": self.file, "column": self.name, "dimensions": self.dimensions,
                "provenance": self.provenance.as_ref().map(provenance_to_json) })
    }
}

/// The length of the first vector, in formats whose types do not tell.
fn first_length(table: &Table, index: usize) -> Result<usize> {
    for batch in table.read(Some(&[index]))? {
        if let Some(column) = batch?.column_by_name(table.schema.field(index).name())
            && let Some(vector) = Vectors::of(column)?.iter().flatten().next()
        {
            return Ok(vector.len());
        }
    }
    Ok(0)
}

fn to_text(a: &Column<'_>, b: &Column<'_>, comparison: &Comparison) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<12}{value}");
    };
    for column in [a, b] {
        let made = column.provenance.as_ref().map_or("not recorded".to_owned(), |p| {
            format!("{} ({}), {}", p.model, p.provider, p.weights.as_deref().unwrap_or("weights not known"))
        });
        line("file", &format!("{}, column '{}'", column.file.display(), column.name));
        line("", &format!("{} dimensions, made by {made}", column.dimensions));
    }
    line("comparable", if comparison.comparable() { "yes" } else { "no" });
    comparison.reasons.iter().for_each(|reason| line("because", reason));
    comparison.cautions.iter().for_each(|caution| line("mind", caution));
    text
}
