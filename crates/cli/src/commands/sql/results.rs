//! What a statement gives, on standard output: a table, the text of a plan, or one JSON object per row.

use std::fmt::Write;

use arrow_array::{Array, RecordBatch, cast::AsArray, types::UInt64Type};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_json::LineDelimitedWriter;
use arrow_schema::{DataType, Field, SchemaRef};
use imbed::core::{
    Error, ErrorKind, Result,
    arrow::{BytesColumn, ImageColumn, VectorColumn},
};

use crate::{args::SqlArgs, commands::print, show};

/// Characters of one cell.
const WIDEST: usize = 60;

/// Numbers of a vector that are shown.
const SHOWN: usize = 4;

/// Takes the batches of one result.
pub(super) struct Printer {
    schema: SchemaRef,
    form: Form,
    rows: Vec<Vec<String>>,
    most: usize,
    cut: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Table,
    /// A plan is long lines, which a table would cut.
    Plan,
    Json,
}

impl Printer {
    pub(super) fn new(schema: SchemaRef, args: &SqlArgs, explains: bool) -> Self {
        let form = match (args.json, explains) {
            (true, _) => Form::Json,
            (false, true) => Form::Plan,
            (false, false) => Form::Table,
        };
        Self { schema, form, rows: Vec::new(), most: args.rows, cut: false }
    }

    /// Prints the rows of `batch`, or keeps them for [`finish`](Self::finish); `false` if there is room for no more.
    pub(super) fn take(&mut self, batch: &RecordBatch) -> Result<bool> {
        match self.form {
            Form::Json => {
                let mut text = Vec::new();
                let mut writer: LineDelimitedWriter<_> =
                    arrow_json::WriterBuilder::new().with_explicit_nulls(true).build(&mut text);
                writer.write(batch).and_then(|()| writer.finish()).map_err(|e| unprintable(&e))?;
                print(&String::from_utf8_lossy(&text))?;
            }
            Form::Plan => {
                for row in 0..batch.num_rows() {
                    let cells = batch.columns().iter().map(|column| text(column, row));
                    print(&format!("{}\n", cells.collect::<Result<Vec<_>>>()?.join("\n")))?;
                }
            }
            Form::Table => {
                for row in 0..batch.num_rows() {
                    if self.rows.len() == self.most {
                        self.cut = true;
                        return Ok(false);
                    }
                    let columns = self.schema.fields().iter().zip(batch.columns());
                    self.rows.push(columns.map(|(field, column)| cell(field, column, row)).collect::<Result<_>>()?);
                }
            }
        }
        Ok(true)
    }

    /// Prints what was kept.
    pub(super) fn finish(self) -> Result<()> {
        if self.form != Form::Table || self.schema.fields().is_empty() {
            return Ok(());
        }
        print(&self.table())?;
        if self.cut {
            eprintln!(
                "only the first {} are shown; --rows N shows more, --json all, and COPY … TO writes a file",
                show::count(self.most as u64, "row")
            );
        }
        Ok(())
    }

    fn table(&self) -> String {
        let names: Vec<String> = self.schema.fields().iter().map(|field| field.name().clone()).collect();
        let lines = || std::iter::once(&names).chain(&self.rows);
        let widths: Vec<usize> =
            (0..names.len()).map(|i| lines().map(|line| line[i].chars().count()).max().unwrap_or_default()).collect();
        let mut text = String::new();
        for line in lines() {
            let mut written = String::new();
            for ((cell, width), field) in line.iter().zip(&widths).zip(self.schema.fields()) {
                // Writing to a string does not fail.
                let _ = if field.data_type().is_numeric() {
                    write!(written, "{cell:>width$}  ")
                } else {
                    write!(written, "{cell:<width$}  ")
                };
            }
            text.push_str(written.trim_end());
            text.push('\n');
        }
        text
    }
}

/// The number of rows that a `COPY` says it wrote.
pub(super) fn count(batch: &RecordBatch) -> u64 {
    let counts = batch.columns().first().and_then(|column| column.as_primitive_opt::<UInt64Type>());
    counts.map_or(0, |counts| counts.iter().flatten().sum())
}

/// The number of rows that failed, where parts were written by a cluster.
pub(super) fn failed(batch: &RecordBatch) -> u64 {
    let counts = batch.column_by_name("failed").and_then(|column| column.as_primitive_opt::<UInt64Type>());
    counts.map_or(0, |counts| counts.iter().flatten().sum())
}

/// One value, short enough for a table: of vectors the first numbers, of bytes and images their size.
fn cell(field: &Field, column: &dyn Array, row: usize) -> Result<String> {
    // A column of the type Null has no mask.
    if column.is_null(row) || column.data_type() == &DataType::Null {
        return Ok("NULL".to_owned());
    }
    if let Ok(images) = ImageColumn::try_new(field, column) {
        let image = images.describe(row)?;
        return Ok(image.map_or_else(String::new, |(mode, size)| format!("{mode} {} x {}", size.width, size.height)));
    }
    if BytesColumn::accepts(field.data_type()) {
        let bytes = BytesColumn::try_new(column)?.get(row).unwrap_or_default();
        return Ok(show::bytes(bytes.len() as u64));
    }
    if VectorColumn::accepts(field.data_type()) {
        let vector = VectorColumn::try_new(column)?.get(row);
        return Ok(vector.map_or_else(
            || "NULL".to_owned(),
            |vector| {
                let first: Vec<String> = vector.scaled(1.0).take(SHOWN).map(|n| format!("{n:.4}")).collect();
                match vector.len() {
                    n if n > SHOWN => format!("[{}, … {n} numbers]", first.join(", ")),
                    _ => format!("[{}]", first.join(", ")),
                }
            },
        ));
    }
    let text = text(column, row)?.replace('\n', " ");
    Ok(if text.chars().count() > WIDEST && !matches!(field.data_type(), DataType::Utf8 if field.name() == "path") {
        text.chars().take(WIDEST - 1).chain(['…']).collect()
    } else {
        text
    })
}

fn text(column: &dyn Array, row: usize) -> Result<String> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(column, &options).map_err(|e| unprintable(&e))?;
    formatter.value(row).try_to_string().map_err(|e| unprintable(&e))
}

fn unprintable(error: &dyn std::error::Error) -> Error {
    Error::new(ErrorKind::BadInput, format!("the result cannot be printed: {error}"))
}
