//! One partition's rows on their way through the shared pipeline.
//!
//! Batches are sent in as long as the partition's bytes allow, before the first has come back: so reading, preparing and the model
//! overlap. They leave in their order.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use datafusion::{
    error::Result,
    physical_plan::{
        RecordBatchStream, SendableRecordBatchStream,
        metrics::{BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder},
    },
};
use futures::{
    Stream, StreamExt,
    future::{BoxFuture, FutureExt, try_join_all},
    stream::FuturesOrdered,
};
use imbed_core::arrow::StringsColumn;
use imbed_engine::Images;

use super::{
    COPIED_ROWS, FAILED_ROWS, Failures, embed,
    exec::EmbedCall,
    fuse::Fused,
    size::{Bounds, MAX_ROWS},
};
use crate::{
    error::wrap,
    pipeline::{Pipeline, Producer},
};

/// The column that names rows in messages, where the input has it.
const LABEL: &str = "path";

pub(super) struct EmbedStream {
    /// `None` once it has ended.
    input: Option<SendableRecordBatchStream>,
    /// The columns of the input that leave too.
    kept: Arc<[usize]>,
    calls: Arc<[EmbedCall]>,
    /// One for each call; none until the first batch, and none after the last.
    producers: Vec<Producer>,
    schema: SchemaRef,
    partition: usize,
    /// Rows of the partition so far.
    rows: u64,
    bounds: Bounds,
    /// Bytes of the batches in `pending`.
    bytes: usize,
    pending: FuturesOrdered<BoxFuture<'static, Result<Piece>>>,
    metrics: BaselineMetrics,
    failed: Count,
    copied: Count,
}

/// Some rows with their vectors.
struct Piece {
    batch: RecordBatch,
    /// What its input held.
    bytes: usize,
}

impl EmbedStream {
    pub(super) fn new(
        input: SendableRecordBatchStream,
        kept: Arc<[usize]>,
        calls: Arc<[EmbedCall]>,
        schema: SchemaRef,
        partition: usize,
        bounds: Bounds,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Self {
        Self {
            input: Some(input),
            kept,
            calls,
            producers: Vec::new(),
            schema,
            partition,
            rows: 0,
            bounds,
            bytes: 0,
            pending: FuturesOrdered::new(),
            metrics: BaselineMetrics::new(metrics, partition),
            failed: MetricBuilder::new(metrics).counter(FAILED_ROWS, partition),
            copied: MetricBuilder::new(metrics).counter(COPIED_ROWS, partition),
        }
    }

    /// Sends `batch` in, in pieces of at most [`MAX_ROWS`].
    fn send(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.producers.is_empty() {
            let producer = |call: &EmbedCall| Pipeline::of(&call.model)?.producer();
            self.producers = self.calls.iter().map(producer).collect::<imbed_core::Result<_>>().map_err(wrap)?;
        }
        let rows = batch.num_rows();
        let pieces = rows.div_ceil(MAX_ROWS).max(1);
        let bytes = batch.get_array_memory_size() / pieces;
        for start in (0..rows).step_by(MAX_ROWS) {
            let piece = batch.slice(start, MAX_ROWS.min(rows - start));
            let vectors = self.vectors(&piece)?;
            let (schema, calls, kept) = (Arc::clone(&self.schema), Arc::clone(&self.calls), Arc::clone(&self.kept));
            self.rows += piece.num_rows() as u64;
            self.bytes += bytes;
            let whole = async move {
                let mut computed = vectors.await.map_err(wrap)?.into_iter();
                let mut columns: Vec<ArrayRef> = kept.iter().map(|i| Arc::clone(piece.column(*i))).collect();
                let first = columns.len();
                for call in calls.iter() {
                    let column = match call.same_as {
                        Some(same) => columns.get(first + same).cloned(),
                        None => computed.next(),
                    };
                    columns.extend(column);
                }
                Ok(Piece { batch: RecordBatch::try_new(schema, columns)?, bytes })
            };
            self.pending.push_back(whole.boxed());
        }
        Ok(())
    }

    /// The vectors of `piece`: a column for each call that is not the same as another.
    fn vectors(
        &self,
        piece: &RecordBatch,
    ) -> Result<impl Future<Output = imbed_core::Result<Vec<ArrayRef>>> + Send + use<>> {
        let labels = piece.column_by_name(LABEL).filter(|column| StringsColumn::accepts(column.data_type()));
        let mut columns = Vec::new();
        for (call, producer) in self.calls.iter().zip(&self.producers) {
            if call.same_as.is_some() {
                continue;
            }
            let Fused { image, field, source, steps } = &call.input;
            let array = image.evaluate(piece)?.into_array(piece.num_rows())?;
            let mut images = source.images(array, field, call.model.base.as_deref()).map_err(wrap)?;
            if let Some(steps) = steps {
                images = Images::Changed { images: Box::new(images), steps: Arc::clone(steps) };
            }
            let (producer, labels, copied) = (producer.clone(), labels.cloned(), self.copied.clone());
            let failures = Failures {
                on_error: call.model.on_error,
                first_row: self.rows,
                place: format!("of partition {}", self.partition),
                count: self.failed.clone(),
            };
            columns.push(async move { embed(producer, images, labels, &failures, &copied).await });
        }
        Ok(try_join_all(columns))
    }

    /// Takes batches of the input as long as there are any and their bytes allow.
    fn fill(&mut self, context: &mut Context<'_>) -> Result<()> {
        while self.pending.is_empty() || self.bytes < self.bounds.bytes {
            let Some(input) = &mut self.input else { return Ok(()) };
            match input.poll_next_unpin(context) {
                Poll::Ready(Some(batch)) => self.send(&batch?)?,
                Poll::Ready(None) => {
                    self.input = None;
                    self.producers.clear();
                }
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        if let Err(error) = self.fill(context) {
            self.stop();
            return Poll::Ready(Some(Err(error)));
        }
        match self.pending.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(piece))) => {
                self.bytes = self.bytes.saturating_sub(piece.bytes);
                Poll::Ready(Some(Ok(piece.batch)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.stop();
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) if self.input.is_none() => Poll::Ready(None),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Ends after an error.
    fn stop(&mut self) {
        self.input = None;
        self.producers.clear();
        self.pending = FuturesOrdered::new();
    }
}

impl Stream for EmbedStream {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let poll = self.poll(context);
        self.metrics.record_poll(poll)
    }
}

impl RecordBatchStream for EmbedStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
