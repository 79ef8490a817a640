//! One part: record batches become a Parquet file that appears when it is whole.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray, RecordBatch, cast::AsArray};
use arrow_schema::{DataType, Schema, SchemaRef};
use datafusion::{
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, runtime_env::RuntimeEnv},
};
use futures::StreamExt;
use imbed_core::arrow::Provenance;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use parquet::{
    arrow::{ArrowSchemaConverter, ArrowWriter},
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use super::{Parts, done};

/// A row group is closed when it holds this many bytes, as in the files of `imbed embed`.
const GROUP_BYTES: usize = 4 << 20;

/// Pieces of a file on their way to a bucket at once.
const UPLOADS: usize = 4;

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) rows: u64,
    /// Rows that had an image and have no vector.
    pub(super) failed: u64,
    pub(super) bytes: u64,
}

/// Writes `batches` as part `number`; `None` if they have no rows, and then there is no file. `rows` is what they come from, where that is
/// known.
pub(super) async fn write(
    parts: &Parts,
    number: usize,
    rows: Option<String>,
    mut batches: SendableRecordBatchStream,
    runtime: &RuntimeEnv,
) -> Result<Option<Written>> {
    let wrap = |e| DataFusionError::External(Box::new(e));
    let mut file: Option<PartFile> = None;
    while let Some(batch) = batches.next().await {
        let batch = match batch {
            Ok(batch) if batch.num_rows() == 0 => continue,
            Ok(batch) => batch,
            Err(error) => {
                if let Some(file) = file {
                    file.abort().await;
                }
                return Err(error);
            }
        };
        let mut open = if let Some(open) = file.take() {
            open
        } else {
            let (store, folder) = parts.store(runtime).map_err(wrap)?;
            PartFile::create(store.as_ref(), &folder, (number, rows.clone()), &batch.schema(), parts).await?
        };
        open.write(&batch).await?;
        file = Some(open);
    }
    match file {
        Some(file) => file.finish().await.map(Some),
        None => Ok(None),
    }
}

/// A part that is being written.
struct PartFile {
    writer: ArrowWriter<Vec<u8>>,
    upload: WriteMultipart,
    /// The columns that are written, of those that come.
    kept: Vec<usize>,
    no_image: Option<usize>,
    vectors: Option<usize>,
    parts: Parts,
    number: usize,
    rows: Option<String>,
    written: Written,
}

impl PartFile {
    async fn create(
        store: &dyn ObjectStore,
        folder: &object_store::path::Path,
        (number, rows): (usize, Option<String>),
        schema: &SchemaRef,
        parts: &Parts,
    ) -> Result<Self> {
        let no_image = parts.no_image().and_then(|name| schema.index_of(name).ok());
        let kept: Vec<usize> = (0..schema.fields().len()).filter(|i| Some(*i) != no_image).collect();
        let vectors = schema.fields().iter().position(|field| Provenance::from_metadata(field.metadata()).is_some());
        let schema = Arc::new(schema.project(&kept)?);
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties(&schema)?))?;
        let upload = store.put_multipart(&folder.clone().join(Parts::name(number))).await.map_err(unwritable)?;
        let (upload, parts, written) = (WriteMultipart::new(upload), parts.clone(), Written::default());
        Ok(Self { writer, upload, kept, no_image, vectors, parts, number, rows, written })
    }

    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.written.rows += batch.num_rows() as u64;
        self.written.failed += self.failed(batch);
        self.writer.write(&batch.project(&self.kept)?)?;
        if self.writer.in_progress_size().max(self.writer.memory_size()) >= GROUP_BYTES {
            self.writer.flush()?;
        }
        let bytes = std::mem::take(self.writer.inner_mut());
        self.send(bytes).await
    }

    /// Rows of `batch` that had an image and have no vector.
    fn failed(&self, batch: &RecordBatch) -> u64 {
        let Some(vectors) = self.vectors.map(|i| batch.column(i)) else { return 0 };
        let no_image: Option<&BooleanArray> = self.no_image.and_then(|i| batch.column(i).as_boolean_opt());
        let had_image = |row: usize| no_image.is_none_or(|none| none.is_null(row) || !none.value(row));
        (0..batch.num_rows()).filter(|row| vectors.is_null(*row) && had_image(*row)).count() as u64
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<()> {
        if !bytes.is_empty() {
            self.written.bytes += bytes.len() as u64;
            self.upload.wait_for_capacity(UPLOADS).await.map_err(unwritable)?;
            self.upload.put(bytes.into());
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Written> {
        let mark = done::mark(&self.parts, self.number, self.rows.as_deref(), self.written.failed)?;
        self.writer.append_key_value_metadata(mark);
        self.writer.finish()?;
        let bytes = std::mem::take(self.writer.inner_mut());
        self.send(bytes).await?;
        self.upload.finish().await.map_err(unwritable)?;
        Ok(self.written)
    }

    async fn abort(self) {
        // The error that led here is the one to tell of.
        let _ = self.upload.abort().await;
    }
}

fn unwritable(error: object_store::Error) -> DataFusionError {
    DataFusionError::ObjectStore(Box::new(error))
}

fn properties(schema: &Schema) -> Result<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("imbed ", env!("CARGO_PKG_VERSION")).to_owned());
    // Hardly a float of a vector occurs twice, and nobody looks for one by its bounds. The same goes for encoded images.
    let opaque = |name: &str| {
        schema.field_with_name(name).is_ok_and(|field| {
            Provenance::from_metadata(field.metadata()).is_some()
                || matches!(field.data_type(), DataType::Binary | DataType::LargeBinary)
        })
    };
    let columns = ArrowSchemaConverter::new().convert(schema).map_err(|e: ParquetError| DataFusionError::from(e))?;
    for column in columns.columns().iter().filter(|c| c.path().parts().first().is_some_and(|name| opaque(name))) {
        let path = ColumnPath::new(column.path().parts().to_vec());
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    Ok(properties.build())
}
