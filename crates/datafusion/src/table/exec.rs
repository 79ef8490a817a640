//! The scan: one thread lists, others read groups of files ahead, and batches leave in the order of the listing.

use std::{fmt, future::Future, sync::Arc};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::{
    common::{exec_datafusion_err, internal_err, runtime::SpawnedTask, tree_node::TreeNodeRecursion},
    error::{DataFusionError, Result},
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream, stream::BoxStream};
use object_store::ObjectStore;
use tokio::{
    sync::mpsc,
    task::{JoinError, spawn_blocking},
};

use super::{
    Column, ImagesTable, SCHEMA, fetch,
    listing::{Entry, GroupSize, Sieve, list},
    place::{Place, Remote},
    read, remote,
};
use crate::embed::FAILED_ROWS;

/// Bytes of files in one batch.
const MAX_BYTES: u64 = 16 << 20;

/// Groups that are read at once.
const READERS: usize = 3;

#[derive(Debug, Clone)]
pub(super) struct ImagesExec {
    table: ImagesTable,
    columns: Vec<Column>,
    condition: Option<Arc<dyn PhysicalExpr>>,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ImagesExec {
    pub(super) fn new(
        table: ImagesTable,
        projection: Option<&Vec<usize>>,
        condition: Option<Arc<dyn PhysicalExpr>>,
        limit: Option<usize>,
    ) -> Result<Self> {
        let schema: SchemaRef = match projection {
            Some(projection) => Arc::new(SCHEMA.project(projection)?),
            None => Arc::clone(&SCHEMA),
        };
        let column = |name: &str| Column::ALL.into_iter().find(|column| column.name() == name);
        let columns = schema.fields().iter().filter_map(|field| column(field.name())).collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Ok(Self { table, columns, condition, limit, properties: Arc::new(properties), metrics })
    }

    fn group_size(&self, context: &TaskContext) -> GroupSize {
        let bytes = if self.columns.contains(&Column::Image) { MAX_BYTES } else { u64::MAX };
        GroupSize { rows: context.session_config().batch_size(), bytes }
    }
}

impl DisplayAs for ImagesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.columns.iter().map(|column| column.name()).collect();
        write!(f, "ImagesExec: {}, columns=[{}]", self.table.place, columns.join(", "))?;
        if let Some(condition) = &self.condition {
            write!(f, ", files where {condition}")?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", at most {limit}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for ImagesExec {
    fn name(&self) -> &'static str {
        "ImagesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.condition.as_ref().map_or(Ok(TreeNodeRecursion::Continue), f)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self { limit, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("a listing has one partition, and {partition} was asked for");
        }
        let schema = self.schema();
        let sieve = Sieve::new(self.condition.clone(), self.limit, self.group_size(&context));
        let count = MetricBuilder::new(&self.metrics).counter(FAILED_ROWS, partition);
        let failures = read::Failures { on_error: self.table.on_error, count };
        let reader = Reader { columns: self.columns.clone().into(), schema: Arc::clone(&schema), failures };
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let batches = match &self.table.place {
            Place::Local(place) => {
                let groups = local_groups(place.clone(), sieve);
                groups.map(move |group| reader.clone().read(group)).buffered(READERS).boxed()
            }
            Place::Remote(place) => {
                let store = context.runtime_env().object_store(&place.store)?;
                let place = Arc::clone(place);
                let groups = remote_groups(Arc::clone(&place), Arc::clone(&store), sieve);
                let fetch = move |group| reader.clone().fetch(group, Arc::clone(&place), Arc::clone(&store));
                groups.map(fetch).buffered(READERS).boxed()
            }
        };
        let batches = batches.inspect(move |batch| {
            if let Ok(batch) = batch {
                metrics.record_output(batch.num_rows());
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The groups of files of this machine, which a thread of its own lists.
fn local_groups(place: String, sieve: Sieve) -> BoxStream<'static, Result<Vec<Entry>>> {
    let (send, receive) = mpsc::channel(READERS);
    let listing = spawn_blocking(move || {
        if let Err(error) = list(&place, sieve, |group| send.blocking_send(Ok(group)).is_ok()) {
            // Nobody is there to be told only if nobody asks for more.
            let _ = send.blocking_send(Err(error));
        }
    });
    received(receive, listing)
}

/// The groups of objects of a store, which are listed ahead. The listing ends with the stream.
fn remote_groups(
    place: Arc<Remote>,
    store: Arc<dyn ObjectStore>,
    sieve: Sieve,
) -> BoxStream<'static, Result<Vec<Entry>>> {
    let (send, receive) = mpsc::channel(READERS);
    let listing = SpawnedTask::spawn(async move {
        if let Err(error) = remote::list(&place, store, sieve, &send).await {
            let _ = send.send(Err(error)).await;
        }
    });
    received(receive, listing)
}

/// What is received, and an error if `listing` panics.
fn received(
    receive: mpsc::Receiver<Result<Vec<Entry>>>,
    listing: impl Future<Output = Result<(), JoinError>> + Send + Unpin + 'static,
) -> BoxStream<'static, Result<Vec<Entry>>> {
    stream::unfold((receive, Some(listing)), |(mut receive, listing)| async move {
        match receive.recv().await {
            Some(group) => Some((group, (receive, listing))),
            None => match listing?.await {
                Ok(()) => None,
                Err(e) => Some((Err(exec_datafusion_err!("the listing ended early: {e}")), (receive, None))),
            },
        }
    })
    .boxed()
}

/// Makes batches of groups.
#[derive(Debug, Clone)]
struct Reader {
    columns: Arc<[Column]>,
    schema: SchemaRef,
    failures: read::Failures,
}

impl Reader {
    async fn read(self, group: Result<Vec<Entry>>) -> Result<RecordBatch> {
        let group = group?;
        let Self { columns, schema, failures } = self;
        spawn_blocking(move || read::batch(&group, &columns, schema, &failures)).await.map_err(|e| ended(&e))?
    }

    /// A task of its own, so that requests go on while somebody is busy with the batch before.
    async fn fetch(
        self,
        group: Result<Vec<Entry>>,
        place: Arc<Remote>,
        store: Arc<dyn ObjectStore>,
    ) -> Result<RecordBatch> {
        let group = group?;
        let Self { columns, schema, failures } = self;
        let batch = SpawnedTask::spawn(fetch::batch(group, columns, schema, place, store, failures));
        batch.await.map_err(|e| ended(&e))?
    }
}

fn ended(error: &JoinError) -> DataFusionError {
    exec_datafusion_err!("reading files ended early: {error}")
}
