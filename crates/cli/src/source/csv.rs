//! CSV and TSV tables with a header line.
//!
//! A column's type is the narrowest that gives every value back as it was written: Boolean, `Int64`, `Float64`, or else text.
//! So `007` stays text, and dates do too.

use std::{fs::File, io::BufReader, path::Path, sync::Arc};

use arrow_array::{RecordBatch, StringArray, cast::AsArray};
use arrow_csv::{ReaderBuilder, reader::Format};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use imbed::core::{Error, Result};

use super::batches::{Batches, MAX_ROWS, Opened, unreadable};

pub(super) fn open(path: &Path, delimiter: u8) -> Result<Opened> {
    let format = Format::default().with_header(true).with_delimiter(delimiter);
    // No record is looked at: this reads the header only.
    let (header, _) = format.infer_schema(BufReader::new(file(path)?), Some(0)).map_err(unreadable)?;
    let as_text: Vec<Field> = header.fields().iter().map(|f| Field::new(f.name(), DataType::Utf8, true)).collect();
    let mut kinds = vec![Kind::Empty; as_text.len()];
    let mut rows = 0;
    for batch in read(path, &Arc::new(Schema::new(as_text)), delimiter, None)? {
        let batch: RecordBatch = batch?;
        rows += batch.num_rows() as u64;
        for (kind, column) in kinds.iter_mut().zip(batch.columns()) {
            *kind = kind.narrowest(column.as_string());
        }
    }
    let fields = header.fields().iter().zip(kinds).map(|(f, kind)| Field::new(f.name(), kind.data_type(), true));
    let detail = if delimiter == b'\t' { "TSV" } else { "CSV" }.to_owned();
    Ok(Opened { schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())), rows: Some(rows), detail })
}

pub(super) fn read(path: &Path, schema: &SchemaRef, delimiter: u8, columns: Option<Vec<usize>>) -> Result<Batches> {
    let mut builder =
        ReaderBuilder::new(Arc::clone(schema)).with_header(true).with_delimiter(delimiter).with_batch_size(MAX_ROWS);
    if let Some(columns) = columns {
        builder = builder.with_projection(columns);
    }
    let reader = builder.build(file(path)?).map_err(unreadable)?;
    Ok(Box::new(reader.map(|batch| batch.map_err(unreadable))))
}

fn file(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io("open", e))
}

/// What all values of a column seen so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Empty,
    Boolean,
    Integer,
    Float,
    Text,
}

impl Kind {
    fn narrowest(self, values: &StringArray) -> Self {
        values.iter().flatten().filter(|v| !v.is_empty()).fold(self, |kind, value| match (kind, Self::of(value)) {
            (Self::Text, _) => Self::Text,
            (Self::Empty, next) => next,
            (a, b) if a == b => a,
            (Self::Integer | Self::Float, Self::Integer | Self::Float) => Self::Float,
            _ => Self::Text,
        })
    }

    fn of(value: &str) -> Self {
        let unsigned = value.strip_prefix('-').unwrap_or(value);
        let padded = unsigned.len() > 1 && unsigned.starts_with('0') && !unsigned.starts_with("0.");
        if value == "true" || value == "false" {
            Self::Boolean
        } else if padded || !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
            Self::Text
        } else if value.parse::<i64>().is_ok() {
            Self::Integer
        } else if unsigned.contains(['.', 'e', 'E']) && value.parse::<f64>().is_ok_and(f64::is_finite) {
            Self::Float
        } else {
            Self::Text
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Empty | Self::Text => DataType::Utf8,
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            Self::Float => DataType::Float64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_the_narrowest_type_that_keeps_its_values() {
        for (values, expected) in [
            (vec!["1", "-20", ""], Kind::Integer),
            (vec!["1", "2.5"], Kind::Float),
            (vec!["007", "12"], Kind::Text),
            (vec!["true", "false"], Kind::Boolean),
            (vec!["true", "1"], Kind::Text),
            (vec!["2024-05-01"], Kind::Text),
            (vec!["99999999999999999999"], Kind::Text),
            (vec!["+1"], Kind::Text),
            (vec!["nan", "inf"], Kind::Text),
            (vec!["", ""], Kind::Empty),
        ] {
            assert_eq!(Kind::Empty.narrowest(&StringArray::from(values.clone())), expected, "{values:?}");
        }
    }

    #[test]
    fn quoted_fields_and_empty_ones_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        std::fs::write(&path, "id,path,price\n007,\"a, b.jpg\",1.5\n008,,2\n").unwrap();
        let opened = open(&path, b',').unwrap();
        assert_eq!(opened.rows, Some(2));
        let types: Vec<&DataType> = opened.schema.fields().iter().map(|f| f.data_type()).collect();
        assert_eq!(types, [&DataType::Utf8, &DataType::Utf8, &DataType::Float64]);
        let batches: Vec<RecordBatch> = read(&path, &opened.schema, b',', None).unwrap().map(Result::unwrap).collect();
        let paths: Vec<Option<&str>> = batches[0].column(1).as_string::<i32>().iter().collect();
        assert_eq!(paths, [Some("a, b.jpg"), None]);
    }
}
