//! Inputs: whatever a user names becomes rows in order, under one schema of carried columns.
//!
//! [`Source::open`] looks at everything first, so that a wrong input is refused before any work: folders are walked,
//! patterns expanded, tables opened and their image column chosen. [`Source::into_rows`] then reads in pieces that are
//! bounded in rows and bytes.

mod batches;
mod carry;
mod chunk;
mod column;
mod csv;
#[cfg(test)]
mod damage;
mod files;
mod folder;
mod glob;
mod guard;
mod identity;
mod ipc;
mod jsonl;
mod list;
mod npy;
mod parquet;
mod rows;
mod table;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use arrow_schema::{DataType, Field, FieldRef, SchemaRef};
use imbed::{
    core::{Error, ErrorKind, Result, address::shown},
    engine::files::is_pattern,
};

use self::{
    carry::Carry,
    chunk::TablePart,
    files::Paths,
    rows::{FileRows, TableRows},
};
pub(crate) use self::{carry::describe_columns, identity::RowId, rows::Rows, table::Table};
use crate::{address, args::InputArgs};

/// The carried column of inputs that are files.
pub(crate) const PATH_COLUMN: &str = "path";

/// Rows per chunk of paths: small, because chunks are how progress is seen.
const PATHS_PER_CHUNK: usize = 64;

/// Files of a folder that were passed over, by extension.
pub(crate) type Skipped = BTreeMap<String, u64>;

/// Everything that is to be embedded.
pub(crate) struct Source {
    parts: Vec<Part>,
    carry: Carry,
    limit: Option<u64>,
    /// Number of rows, where it is known before they are read.
    pub(crate) total: Option<u64>,
    /// Files that were passed over.
    pub(crate) skipped: Skipped,
    /// One line per input, for `--explain`.
    pub(crate) description: Vec<String>,
}

enum Part {
    Paths(Paths),
    Table(Box<TablePart>),
}

impl Source {
    /// Looks at every input: names, headers, and the types in CSV and JSON lines. No image is read, and no address is followed.
    pub(crate) fn open(inputs: &[String], args: &InputArgs, allow_urls: bool) -> Result<Self> {
        let mut skipped = Skipped::new();
        let mut description = Vec::new();
        let mut parts = Vec::new();
        for found in expand(inputs, allow_urls, &mut skipped)? {
            match found {
                Found::Paths(name, paths) => {
                    let count = paths.count.map_or_else(|| "paths".to_owned(), |n| crate::show::count(n, "image file"));
                    description.push(format!("{name}: {count}"));
                    parts.push(Part::Paths(paths));
                }
                Found::Table(table) => {
                    let image = column::choose(&table, args.column.as_deref())?;
                    let rows = table.rows.map_or_else(|| "rows".to_owned(), |n| crate::show::count(n, "row"));
                    let name = table.schema.field(image.index()).name();
                    description.push(format!(
                        "{}: {}, {rows}, images from column '{name}'",
                        table.path.display(),
                        table.detail
                    ));
                    parts.push(Part::Table(Box::new(TablePart::new(*table, image, args))));
                }
            }
        }
        let tables = parts.iter().filter(|p| matches!(p, Part::Table(_))).count();
        if let (0, Some(column)) = (tables, &args.column) {
            return Err(Error::new(
                ErrorKind::BadInput,
                format!("--column {column} is about tables, and no input is one"),
            )
            .hint("leave it out, or name a .parquet, .arrow, .csv or .jsonl file"));
        }
        for part in &mut parts {
            if let Part::Table(part) = part {
                part.name_table_in_labels(tables > 1);
            }
        }
        let contributions: Vec<_> = parts.iter().map(Part::carried).collect();
        let carry = Carry::unify(&contributions, args.key.as_deref())?;
        let rows: Option<u64> = parts.iter().map(Part::rows).sum();
        let total = match (rows, args.limit) {
            (Some(rows), Some(limit)) => Some(rows.min(limit)),
            (rows, _) => rows,
        };
        Ok(Self { parts, carry, limit: args.limit, total, skipped, description })
    }

    /// The columns that are carried to the output, in order.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.carry.schema()
    }

    /// The rows of each part, in the order in which they were named, and how many of all are wanted.
    pub(crate) fn into_rows(self) -> (impl Iterator<Item = Box<dyn Rows>> + Send + 'static, u64) {
        let Self { parts, carry, limit, .. } = self;
        let carry = Arc::new(carry);
        let rows = parts.into_iter().map(move |part| -> Box<dyn Rows> {
            match part {
                Part::Paths(paths) => Box::new(FileRows::new(paths, Arc::clone(&carry))),
                Part::Table(part) => Box::new(TableRows::new(*part, Arc::clone(&carry))),
            }
        });
        (rows, limit.unwrap_or(u64::MAX))
    }
}

impl Part {
    /// The columns that it brings along, and where from.
    fn carried(&self) -> (Option<&Path>, Vec<FieldRef>) {
        match self {
            Self::Paths(_) => (None, vec![Arc::new(Field::new(PATH_COLUMN, DataType::Utf8, false))]),
            Self::Table(part) => (Some(&part.table.path), part.carried_fields()),
        }
    }

    fn rows(&self) -> Option<u64> {
        match self {
            Self::Paths(paths) => paths.count,
            Self::Table(part) => part.table.rows,
        }
    }
}

enum Found {
    Paths(String, Paths),
    Table(Box<Table>),
}

/// What each input turns out to be. Neighbouring single files become one part, so that chunks are full.
fn expand(inputs: &[String], allow_urls: bool, skipped: &mut Skipped) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut single = Vec::new();
    for input in inputs {
        let path = Path::new(input);
        let is_file = input != "-" && path.exists() && !path.is_dir();
        if !path.exists() && address::is_fetched(input, allow_urls)? {
            single.push(input.clone());
            continue;
        }
        if is_file && !Table::is_table(path) && !list::is_list(path) {
            single.push(input.clone());
            continue;
        }
        found.extend(single_files(&mut single));
        if input == "-" {
            found.push(Found::Paths("standard input".to_owned(), list::from_stdin()));
        } else if path.is_dir() {
            found.push(Found::Paths(input.clone(), files::in_folder(path, skipped)?));
        } else if is_file && list::is_list(path) {
            found.push(Found::Paths(input.clone(), list::from_file(path)?));
        } else if is_file {
            found.push(Found::Table(Box::new(Table::open(path)?)));
        } else if is_pattern(input) {
            found.extend(pattern(input, skipped)?);
        } else {
            return Err(Error::new(ErrorKind::BadInput, format!("{input}: there is no such file or folder"))
                .hint("inputs are folders, 'patterns' in quotes, image files, lists of paths and tables; see `imbed embed --help`"));
        }
    }
    found.extend(single_files(&mut single));
    Ok(found)
}

fn single_files(files: &mut Vec<String>) -> Option<Found> {
    let files = std::mem::take(files);
    let first = files.first()?;
    let first = shown(first);
    let name = if files.len() == 1 { first.into_owned() } else { format!("{first}, …") };
    Some(Found::Paths(name, Paths::of(files)))
}

/// Images and tables that match a pattern, in sorted order: the tables after the images.
fn pattern(input: &str, skipped: &mut Skipped) -> Result<Vec<Found>> {
    let matches = glob::expand(input, skipped)?;
    let (tables, images): (Vec<String>, Vec<String>) = matches.into_iter().partition(|m| Table::is_table(Path::new(m)));
    let mut found = Vec::new();
    if !images.is_empty() {
        found.push(Found::Paths(input.to_owned(), Paths::of(images)));
    }
    for table in tables {
        found.push(Found::Table(Box::new(Table::open(Path::new(&table))?)));
    }
    Ok(found)
}
