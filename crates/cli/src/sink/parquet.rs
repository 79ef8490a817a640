//! Parquet output.

use std::io::BufWriter;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use imbed::core::Result;
use parquet::{
    arrow::{ArrowSchemaConverter, ArrowWriter},
    basic::{Compression, ZstdLevel},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};

use super::{Sink, Written, atomic::AtomicFile, unwritable};

/// A row group is closed when it holds this many bytes. It is kept in memory until then, and a long run shall need no more
/// memory than a short one; 4 MiB are 4,000 vectors of 256 numbers, enough for readers to skip by.
const GROUP_BYTES: usize = 4 << 20;

/// Who a file says has made it.
pub(super) const CREATED_BY: &str = concat!("imbed ", env!("CARGO_PKG_VERSION"));

pub(super) struct ParquetSink {
    writer: ArrowWriter<BufWriter<AtomicFile>>,
}

impl ParquetSink {
    /// `vectors` names the column of vectors, if there is one.
    pub(super) fn new(file: AtomicFile, schema: &SchemaRef, vectors: Option<&str>) -> Result<Self> {
        let properties = properties(schema, vectors)?;
        let writer =
            ArrowWriter::try_new(BufWriter::new(file), schema.clone(), Some(properties)).map_err(unwritable)?;
        Ok(Self { writer })
    }

    /// The file, with everything in it and what `footer` makes of its number of row groups.
    pub(super) fn into_file_with(mut self, footer: impl FnOnce(usize) -> KeyValue) -> Result<AtomicFile> {
        self.writer.flush().map_err(unwritable)?;
        let pair = footer(self.writer.flushed_row_groups().len());
        self.writer.append_key_value_metadata(pair);
        self.into_file()
    }

    /// Bytes written so far, and those that wait.
    pub(super) fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// The file, with everything in it.
    pub(super) fn into_file(self) -> Result<AtomicFile> {
        let buffered = self.writer.into_inner().map_err(unwritable)?;
        buffered.into_inner().map_err(|e| unwritable(e.into_error()))
    }
}

impl Sink for ParquetSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer.write(batch).map_err(unwritable)?;
        if self.writer.in_progress_size().max(self.writer.memory_size()) >= GROUP_BYTES {
            self.writer.flush().map_err(unwritable)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<Written>> {
        Ok(vec![self.into_file()?.commit()?])
    }
}

fn properties(schema: &SchemaRef, vectors: Option<&str>) -> Result<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(CREATED_BY.to_owned());
    // Hardly a float of a vector occurs twice, and nobody looks for one by its bounds. The same goes for encoded images.
    let opaque = |name: &str| {
        let field = schema.field_with_name(name);
        Some(name) == vectors || field.is_ok_and(|f| matches!(f.data_type(), DataType::Binary | DataType::LargeBinary))
    };
    let columns = ArrowSchemaConverter::new().convert(schema).map_err(unwritable)?;
    for column in columns.columns().iter().filter(|c| c.path().parts().first().is_some_and(|name| opaque(name))) {
        let path = ColumnPath::new(column.path().parts().to_vec());
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    Ok(properties.build())
}
