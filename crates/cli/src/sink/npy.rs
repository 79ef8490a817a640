//! `NumPy` output: float32 `[rows, dimensions]` in row-major order, NaN where a row is null; the other columns are a Parquet file
//! beside it, row for row.

use std::{
    io::{BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{Array, RecordBatch, cast::AsArray, types::Float32Type};
use arrow_schema::{DataType, SchemaRef};
use imbed::core::{Error, ErrorKind, Result};

use super::{Sink, Written, atomic::AtomicFile, parquet::ParquetSink, unwritable};

/// Bytes of the header, with its magic; values start at a multiple of 64, as the format asks.
const HEADER: usize = 128;

pub(super) struct NpySink {
    file: BufWriter<AtomicFile>,
    rows: u64,
    dimensions: usize,
    vectors: usize,
    /// The other columns; `None` where there are none.
    keys: Option<ParquetSink>,
    key_columns: Vec<usize>,
}

/// `photos.keys.parquet` beside `photos.npy`.
pub(super) fn keys_path(path: &Path) -> PathBuf {
    path.with_extension("keys.parquet")
}

impl NpySink {
    pub(super) fn new(file: AtomicFile, overwrite: bool, schema: &SchemaRef, vectors: &str) -> Result<Self> {
        let wrong = |what: &str| Error::new(ErrorKind::Internal, format!("the column '{vectors}' {what}"));
        let (index, field) = schema.column_with_name(vectors).ok_or_else(|| wrong("is missing"))?;
        let DataType::FixedSizeList(_, dimensions) = field.data_type() else {
            return Err(wrong("holds no vectors"));
        };
        let key_columns: Vec<usize> = (0..schema.fields().len()).filter(|i| *i != index).collect();
        let keys = if key_columns.is_empty() {
            None
        } else {
            let schema = Arc::new(schema.project(&key_columns).map_err(unwritable)?);
            Some(ParquetSink::new(AtomicFile::create(&keys_path(file.target()), overwrite)?, &schema, None)?)
        };
        let dimensions = *dimensions as usize;
        let mut file = BufWriter::new(file);
        file.write_all(&header(0, dimensions)).map_err(unwritable)?;
        Ok(Self { file, rows: 0, dimensions, vectors: index, keys, key_columns })
    }
}

impl Sink for NpySink {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let vectors = batch.column(self.vectors).as_fixed_size_list();
        let null: Vec<u8> = f32::NAN.to_le_bytes().repeat(self.dimensions);
        for row in 0..vectors.len() {
            if vectors.is_null(row) {
                self.file.write_all(&null).map_err(unwritable)?;
            } else {
                let vector = vectors.value(row);
                let bytes: Vec<u8> =
                    vector.as_primitive::<Float32Type>().values().iter().flat_map(|v| v.to_le_bytes()).collect();
                self.file.write_all(&bytes).map_err(unwritable)?;
            }
        }
        self.rows += batch.num_rows() as u64;
        match &mut self.keys {
            Some(keys) => keys.write(&batch.project(&self.key_columns).map_err(unwritable)?),
            None => Ok(()),
        }
    }

    fn finish(self: Box<Self>) -> Result<Vec<Written>> {
        let mut file = self.file.into_inner().map_err(|e| unwritable(e.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(unwritable)?;
        file.write_all(&header(self.rows, self.dimensions)).map_err(unwritable)?;
        let keys = self.keys.map(ParquetSink::into_file).transpose()?;
        // The vectors last: whoever sees them finds their keys too.
        let keys = keys.map(AtomicFile::commit).transpose()?;
        Ok([Some(file.commit()?), keys].into_iter().flatten().collect())
    }
}

/// The header of version 1.0 of the format, as <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html> has it.
fn header(rows: u64, dimensions: usize) -> Vec<u8> {
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend(((HEADER - 10) as u16).to_le_bytes());
    header.extend(format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dimensions}), }}").bytes());
    header.resize(HEADER - 1, b' ');
    header.push(b'\n');
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_the_same_size_for_any_number_of_rows() {
        assert_eq!(header(0, 1).len(), HEADER);
        let largest = header(u64::MAX, i32::MAX as usize);
        assert_eq!(largest.len(), HEADER);
        assert_eq!(largest.last(), Some(&b'\n'));
        assert!(String::from_utf8_lossy(&largest).contains("(18446744073709551615, 2147483647), }"));
    }
}
