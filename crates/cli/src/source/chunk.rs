//! From the record batches of a table to the engine's chunks.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray, cast::AsArray};
use arrow_cast::cast;
use arrow_schema::{DataType, FieldRef};
use arrow_select::{nullif::nullif, take::take};
use imbed::{
    core::{Error, ErrorKind, Result, address::is_web, arrow::StringsColumn},
    engine::{Chunk, Images},
};

use super::{PATH_COLUMN, batches::unreadable, carry::Carry, column::ImageColumn, table::Table};
use crate::args::InputArgs;

/// A table, and how its rows become images and carried columns.
pub(super) struct TablePart {
    pub(super) table: Table,
    image: ImageColumn,
    /// Indices of the columns that are carried.
    carried: Vec<usize>,
    /// Where relative paths that are not found in the working directory are looked for; `None` if that is the same.
    folder: Option<PathBuf>,
    /// What rows without any name are called, with their number after it.
    name: Option<String>,
}

impl TablePart {
    pub(super) fn new(table: Table, image: ImageColumn, args: &InputArgs) -> Self {
        let carries_image = args.keep_image || matches!(image, ImageColumn::Paths(_));
        let carried = (0..table.schema.fields().len()).filter(|i| carries_image || *i != image.index()).collect();
        let folder =
            table.path.parent().filter(|f| !f.as_os_str().is_empty() && *f != Path::new(".")).map(Path::to_path_buf);
        Self { table, image, carried, folder, name: None }
    }

    /// With several tables, a row's number says little unless its table is named.
    pub(super) fn name_table_in_labels(&mut self, several: bool) {
        self.name = several.then(|| self.table.path.display().to_string());
    }

    pub(super) fn carried_fields(&self) -> Vec<FieldRef> {
        self.carried.iter().map(|i| Arc::clone(&self.table.schema.fields()[*i])).collect()
    }

    /// Whether its rows name files, and hang on what these hold.
    pub(super) fn names_files(&self) -> bool {
        matches!(self.image, ImageColumn::Paths(_))
    }

    /// The files of a batch's images, as they are reached.
    pub(super) fn paths(&self, batch: &RecordBatch) -> Result<Vec<Option<String>>> {
        let paths = self.resolve(&as_text(batch.column(self.image.index()))?);
        Ok(paths.as_string::<i32>().iter().map(|path| path.map(str::to_owned)).collect())
    }

    /// The rows of `batch`, the first of which has the number `first_row` in the table.
    pub(super) fn chunk(&self, batch: &RecordBatch, carry: &Carry, first_row: u64) -> Result<Chunk> {
        let column = batch.column(self.image.index());
        let (images, paths) = self.images(column)?;
        let batch = carry.fit(&batch.project(&self.carried).map_err(unreadable)?)?;
        let numbered = || {
            let name = self.name.as_ref()?;
            let rows = (first_row..).take(batch.num_rows()).map(|row| format!("{name}, row {row}"));
            Some(Arc::new(StringArray::from_iter_values(rows)) as ArrayRef)
        };
        let labels = carry.keys(&batch)?.or(paths).or(path_column(&batch)?).or_else(numbered);
        Ok(Chunk { batch, images, labels, first_row: None })
    }

    /// The images, and their paths as the table has them.
    fn images(&self, column: &ArrayRef) -> Result<(Images, Option<ArrayRef>)> {
        Ok(match self.image {
            ImageColumn::Bytes(_) => (Images::Encoded(compact(column)?), None),
            ImageColumn::Paths(_) => {
                let paths = as_text(column)?;
                (Images::Paths(self.resolve(&paths)), Some(paths))
            }
            ImageColumn::Decoded(index) => {
                let field = Arc::clone(&self.table.schema.fields()[index]);
                (Images::Decoded { array: compact(column)?, field }, None)
            }
            ImageColumn::BytesOrPath { bytes, path, .. } => {
                let structs = column.as_struct_opt().ok_or_else(|| {
                    Error::new(ErrorKind::Internal, format!("{} is not a struct", column.data_type()))
                })?;
                let member = |index: usize| match structs.nulls() {
                    // A null struct has no image, whatever its members hold.
                    Some(nulls) => {
                        nullif(structs.column(index), &BooleanArray::new(!nulls.inner(), None)).map_err(unreadable)
                    }
                    None => Ok(Arc::clone(structs.column(index))),
                };
                let paths = as_text(&member(path)?)?;
                let images = Images::BytesOrPaths { bytes: compact(&member(bytes)?)?, paths: self.resolve(&paths) };
                let labels = (paths.null_count() < paths.len()).then_some(paths);
                (images, labels)
            }
        })
    }

    /// Relative paths as they are reached: in the working directory, or else in the table's folder.
    fn resolve(&self, paths: &ArrayRef) -> ArrayRef {
        let Some(folder) = &self.folder else { return Arc::clone(paths) };
        let resolved = paths.as_string::<i32>().iter().map(|path| {
            path.map(|path| {
                if is_web(path) {
                    return path.to_owned();
                }
                let beside = folder.join(path);
                match beside.to_str() {
                    Some(beside) if !Path::new(path).exists() && Path::new(beside).exists() => beside.to_owned(),
                    _ => path.to_owned(),
                }
            })
        });
        Arc::new(resolved.collect::<StringArray>())
    }
}

/// The carried column of paths beside images given as bytes, if there is one: nothing names a row better.
fn path_column(batch: &RecordBatch) -> Result<Option<ArrayRef>> {
    let paths = batch.column_by_name(PATH_COLUMN).filter(|c| StringsColumn::accepts(c.data_type()));
    paths.filter(|paths| paths.null_count() < paths.len()).map(as_text).transpose()
}

fn as_text(array: &ArrayRef) -> Result<ArrayRef> {
    cast(array, &DataType::Utf8).map_err(unreadable)
}

/// A copy of `array` if it is a slice of something larger, so that the engine's account of its memory is true.
fn compact(array: &ArrayRef) -> Result<ArrayRef> {
    let data = array.to_data();
    if array.get_array_memory_size() <= 2 * data.get_slice_memory_size().map_err(unreadable)? + 4096 {
        return Ok(Arc::clone(array));
    }
    let rows = arrow_array::UInt64Array::from_iter_values(0..array.len() as u64);
    take(array, &rows, None).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use arrow_array::BinaryArray;

    use super::*;

    #[test]
    fn a_slice_of_a_large_array_is_copied_and_a_whole_array_is_not() {
        let whole: ArrayRef = Arc::new(BinaryArray::from_iter_values((0..64u8).map(|i| vec![i; 4096])));
        assert!(compact(&whole).unwrap().to_data().ptr_eq(&whole.to_data()));
        let slice = whole.slice(3, 2);
        let copy = compact(&slice).unwrap();
        assert_eq!(&copy, &slice);
        assert!(copy.get_array_memory_size() < 32 * 1024);
    }
}
