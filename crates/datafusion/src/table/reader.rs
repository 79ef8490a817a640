//! Groups of listed files become batches, a few of them at once, in the order of the listing.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::{
    common::{exec_datafusion_err, runtime::SpawnedTask},
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext, runtime_env::RuntimeEnv},
    physical_plan::{metrics::BaselineMetrics, stream::RecordBatchStreamAdapter},
};
use futures::{Stream, StreamExt, stream::BoxStream};
use object_store::ObjectStore;
use tokio::task::{JoinError, spawn_blocking};

use super::{
    Column, fetch,
    listing::{Entry, GroupSize},
    place::{Place, Remote},
    read,
};

/// Bytes of files in one batch.
const MAX_BYTES: u64 = 16 << 20;

/// Groups that are read at once.
pub(super) const READERS: usize = 3;

/// How large groups are of which `columns` are asked.
pub(super) fn group_size(columns: &[Column], context: &TaskContext) -> GroupSize {
    let bytes = if columns.contains(&Column::Image) { MAX_BYTES } else { u64::MAX };
    GroupSize { rows: context.session_config().batch_size(), bytes }
}

/// Makes batches of groups.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) columns: Arc<[Column]>,
    pub(super) schema: SchemaRef,
    pub(super) reading: read::Reading,
}

impl Reader {
    /// The batches of `groups`, which were listed at `place`, as a node's stream with its metrics.
    pub(super) fn stream(
        self,
        groups: impl Stream<Item = Result<Vec<Entry>>> + Send + 'static,
        place: &Place,
        runtime: &RuntimeEnv,
        metrics: BaselineMetrics,
    ) -> Result<SendableRecordBatchStream> {
        let schema = Arc::clone(&self.schema);
        let batches = self.batches(groups, place, runtime)?.inspect(move |batch| {
            if let Ok(batch) = batch {
                metrics.record_output(batch.num_rows());
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn batches(
        self,
        groups: impl Stream<Item = Result<Vec<Entry>>> + Send + 'static,
        place: &Place,
        runtime: &RuntimeEnv,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        match place {
            Place::Local(_) => Ok(groups.map(move |group| self.clone().read(group)).buffered(READERS).boxed()),
            Place::Remote(place) => {
                let store = runtime.object_store(&place.store)?;
                let place = Arc::clone(place);
                let fetch = move |group| self.clone().fetch(group, Arc::clone(&place), Arc::clone(&store));
                Ok(groups.map(fetch).buffered(READERS).boxed())
            }
        }
    }

    async fn read(self, group: Result<Vec<Entry>>) -> Result<RecordBatch> {
        let group = group?;
        let Self { columns, schema, reading } = self;
        spawn_blocking(move || read::batch(&group, &columns, schema, &reading)).await.map_err(|e| ended(&e))?
    }

    /// A task of its own, so that requests go on while somebody is busy with the batch before.
    async fn fetch(
        self,
        group: Result<Vec<Entry>>,
        place: Arc<Remote>,
        store: Arc<dyn ObjectStore>,
    ) -> Result<RecordBatch> {
        let group = group?;
        let Self { columns, schema, reading } = self;
        let batch = SpawnedTask::spawn(fetch::batch(group, columns, schema, place, store, reading));
        batch.await.map_err(|e| ended(&e))?
    }
}

fn ended(error: &JoinError) -> DataFusionError {
    exec_datafusion_err!("reading files ended early: {error}")
}
