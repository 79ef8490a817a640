//! Parquet tables.

mod dictionary;

use std::{fs::File, mem, ops::Range, path::Path, sync::Arc};

use arrow_array::RecordBatch;
use imbed::core::{Error, Result, footer};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
        },
    },
    file::metadata::RowGroupMetaData,
};

use super::batches::{Batches, Opened, rows_per_batch, unreadable};

pub(super) fn open(path: &Path) -> Result<Opened> {
    let (_, read) = opened(path)?;
    let metadata = read.metadata();
    let groups = metadata.num_row_groups() as u64;
    Ok(Opened {
        schema: read.schema().clone(),
        rows: u64::try_from(metadata.file_metadata().num_rows()).ok(),
        detail: format!("Parquet, {}", crate::show::count(groups, "row group")),
    })
}

/// All rows but the first `skip`: of row groups that they fill, nothing is read.
pub(super) fn read(path: &Path, columns: Option<Vec<usize>>, skip: u64) -> Result<Batches> {
    let (file, metadata) = opened(path)?;
    let mask = match columns {
        Some(columns) => ProjectionMask::roots(metadata.parquet_schema(), columns),
        None => ProjectionMask::all(),
    };
    let (mut first, mut skip) = (0, skip);
    for group in metadata.metadata().row_groups() {
        let rows = u64::try_from(group.num_rows()).unwrap_or_default();
        if skip < rows {
            break;
        }
        (first, skip) = (first + 1, skip - rows);
    }
    let left = first..metadata.metadata().num_row_groups();
    Ok(Box::new(Groups { file: Arc::new(file), metadata, mask, left, skip: skip as usize, reader: None }))
}

fn opened(path: &Path) -> Result<(File, ArrowReaderMetadata)> {
    let file = File::open(path).map_err(|e| Error::io("open", e))?;
    footer::check_file(&file)?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::default()).map_err(unreadable)?;
    Ok((file, metadata))
}

/// The batches of one row group after the other, in each as large as its values allow.
struct Groups {
    file: Arc<File>,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    /// Row groups that have not been read.
    left: Range<usize>,
    /// Rows of the next group that are passed over.
    skip: usize,
    reader: Option<ParquetRecordBatchReader>,
}

impl Groups {
    fn open(&mut self, group: usize) -> Result<ParquetRecordBatchReader> {
        let row_group = self.metadata.metadata().row_group(group);
        let largest = dictionary::largest(&self.file, row_group, &self.mask).map_err(unreadable)?;
        let rows = rows_per_batch(bytes_per_row(row_group).max(largest));
        let file = self.file.try_clone().map_err(|e| Error::io("read", e))?;
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_projection(self.mask.clone())
            .with_row_groups(vec![group])
            .with_offset(mem::take(&mut self.skip))
            .with_batch_size(rows)
            .build()
            .map_err(unreadable)
    }

    fn batch(&mut self) -> Option<Result<RecordBatch>> {
        loop {
            if let Some(batch) = self.reader.as_mut().and_then(Iterator::next) {
                return Some(batch.map_err(unreadable));
            }
            let group = self.left.next()?;
            match self.open(group) {
                Ok(reader) => self.reader = Some(reader),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Iterator for Groups {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.batch();
        if matches!(batch, Some(Err(_))) {
            (self.reader, self.left) = (None, 0..0);
        }
        batch
    }
}

/// Uncompressed bytes per row of a row group.
fn bytes_per_row(group: &RowGroupMetaData) -> u64 {
    group.total_byte_size().max(0) as u64 / group.num_rows().max(1) as u64
}

#[cfg(test)]
mod tests {
    use arrow_array::{Array, ArrayRef, BinaryArray, DictionaryArray, Int32Array};
    use parquet::{
        arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
        file::properties::WriterProperties,
    };

    use super::*;

    /// A table of two row groups, `rows` and `rows` more, of `values` in turn behind dictionaries.
    fn table(folder: &Path, values: &[&[u8]], rows: usize) -> std::path::PathBuf {
        let keys: Int32Array = (0..2 * rows).map(|row| (row % values.len()) as i32).collect();
        let column = DictionaryArray::new(keys, Arc::new(BinaryArray::from_iter_values(values)));
        let batch = RecordBatch::try_from_iter([("image", Arc::new(column) as ArrayRef)]).unwrap();
        let properties = WriterProperties::builder()
            .set_dictionary_page_size_limit(1 << 30)
            .set_max_row_group_row_count(Some(rows))
            .build();
        // So the column is binary to its reader.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let path = folder.join("table.parquet");
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new_with_options(file, batch.schema(), options).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        path
    }

    #[test]
    fn a_large_value_that_is_repeated_makes_batches_small() {
        let folder = tempfile::tempdir().unwrap();
        // All rows of a group, 2.7 GB, are more than offsets of 32 bits can say.
        let path = table(folder.path(), &[&vec![7; 9 << 20]], 300);
        assert!(std::fs::metadata(&path).unwrap().len() < 20 << 20);
        let mut rows = 0;
        for batch in read(&path, None, 0).unwrap() {
            let batch = batch.unwrap();
            assert!(batch.num_rows() <= 3, "{} rows", batch.num_rows());
            rows += batch.num_rows();
        }
        assert_eq!(rows, 600);
    }

    #[test]
    fn rows_keep_their_order_wherever_the_reader_begins() {
        let folder = tempfile::tempdir().unwrap();
        let values: Vec<[u8; 1]> = (0..100).map(|n| [n]).collect();
        let path = table(folder.path(), &values.iter().map(|value| &value[..]).collect::<Vec<_>>(), 50);
        for skip in [0, 1, 49, 50, 51, 99, 100, 200] {
            let batches: Vec<RecordBatch> = read(&path, Some(vec![0]), skip).unwrap().map(Result::unwrap).collect();
            let found: Vec<u8> = batches
                .iter()
                .flat_map(|batch| {
                    let column = batch.column(0).as_any().downcast_ref::<BinaryArray>().unwrap();
                    column.iter().map(|value| value.unwrap()[0]).collect::<Vec<_>>()
                })
                .collect();
            assert_eq!(found, (skip.min(100) as u8..100).collect::<Vec<_>>(), "without {skip}");
        }
    }
}
