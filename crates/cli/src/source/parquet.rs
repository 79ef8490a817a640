//! Parquet tables.

use std::{fs::File, path::Path};

use imbed::core::{Error, Result, footer};
use parquet::{
    arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::metadata::ParquetMetaData,
};

use super::batches::{Batches, Opened, rows_per_batch, unreadable};

pub(super) fn open(path: &Path) -> Result<Opened> {
    let builder = builder(path)?;
    let metadata = builder.metadata();
    let groups = metadata.num_row_groups() as u64;
    Ok(Opened {
        schema: builder.schema().clone(),
        rows: u64::try_from(metadata.file_metadata().num_rows()).ok(),
        detail: format!("Parquet, {}", crate::show::count(groups, "row group")),
    })
}

/// All rows but the first `skip`: of row groups that they fill, nothing is read.
pub(super) fn read(path: &Path, columns: Option<Vec<usize>>, skip: u64) -> Result<Batches> {
    let mut builder = builder(path)?;
    if let Some(columns) = columns {
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
        builder = builder.with_projection(mask);
    }
    if skip > 0 {
        let (mut first, mut left) = (0, skip);
        for group in builder.metadata().row_groups() {
            let rows = u64::try_from(group.num_rows()).unwrap_or_default();
            if left < rows {
                break;
            }
            (first, left) = (first + 1, left - rows);
        }
        let groups = (first..builder.metadata().num_row_groups()).collect();
        builder = builder.with_row_groups(groups).with_offset(left as usize);
    }
    let rows = rows_per_batch(bytes_per_row(builder.metadata()));
    let reader = builder.with_batch_size(rows).build().map_err(unreadable)?;
    Ok(Box::new(reader.map(|batch| batch.map_err(unreadable))))
}

fn builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    let file = File::open(path).map_err(|e| Error::io("open", e))?;
    footer::check_file(&file)?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)
}

/// Uncompressed bytes per row in the row group where rows are largest.
fn bytes_per_row(metadata: &ParquetMetaData) -> u64 {
    let per_row = |group: &parquet::file::metadata::RowGroupMetaData| {
        group.total_byte_size().max(0) as u64 / group.num_rows().max(1) as u64
    };
    metadata.row_groups().iter().map(per_row).max().unwrap_or(0)
}
