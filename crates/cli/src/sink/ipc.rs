//! Arrow IPC file output.

use std::{io::BufWriter, sync::Arc};

use arrow_array::RecordBatch;
use arrow_cast::cast;
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use imbed::core::Result;

use super::{Sink, Written, atomic::AtomicFile, unwritable};

/// Batches are gathered until they have this many rows or bytes: readers work batch by batch.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 16 << 20;

pub(super) struct IpcSink {
    writer: FileWriter<BufWriter<AtomicFile>>,
    schema: SchemaRef,
    waiting: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl IpcSink {
    pub(super) fn new(file: AtomicFile, schema: &SchemaRef) -> Result<Self> {
        let fields = schema.fields().iter().map(|f| without_dictionary(f));
        let schema = Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()));
        let writer = FileWriter::try_new(BufWriter::new(file), &schema).map_err(unwritable)?;
        Ok(Self { writer, schema, waiting: Vec::new(), rows: 0, bytes: 0 })
    }

    fn write_waiting(&mut self) -> Result<()> {
        if !self.waiting.is_empty() {
            let batch = concat_batches(&self.schema, &self.waiting).map_err(unwritable)?;
            self.writer.write(&batch).map_err(unwritable)?;
            self.waiting.clear();
            (self.rows, self.bytes) = (0, 0);
        }
        Ok(())
    }
}

/// The file format wants one dictionary per column for all batches, but each input batch may bring its own.
fn without_dictionary(field: &Field) -> Field {
    match field.data_type() {
        DataType::Dictionary(_, values) => field.clone().with_data_type(values.as_ref().clone()),
        _ => field.clone(),
    }
}

impl Sink for IpcSink {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| match column.data_type() {
            DataType::Dictionary(..) => cast(column, field.data_type()).map_err(unwritable),
            _ => Ok(Arc::clone(column)),
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(unwritable)?;
        self.rows += batch.num_rows();
        self.bytes += batch.get_array_memory_size();
        self.waiting.push(batch);
        if self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            self.write_waiting()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<Written>> {
        self.write_waiting()?;
        let buffered = self.writer.into_inner().map_err(unwritable)?;
        let file = buffered.into_inner().map_err(|e| unwritable(e.into_error()))?;
        Ok(vec![file.commit()?])
    }
}
