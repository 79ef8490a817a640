//! The scan: one thread lists, others read groups of files ahead, and batches leave in the order of the listing.

use std::{fmt, sync::Arc};

use arrow_schema::{Schema, SchemaRef};
use datafusion::{
    common::{exec_datafusion_err, internal_err, tree_node::TreeNodeRecursion},
    error::Result,
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    Column, ImagesTable, SCHEMA,
    listing::{Entry, GroupSize, list},
    read::batch,
};

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
        let (size, schema) = (self.group_size(&context), self.schema());
        let (place, on_error) = (self.table.place.clone(), self.table.on_error);
        let (condition, limit) = (self.condition.clone(), self.limit);
        let (send, receive) = mpsc::channel::<Result<Vec<Entry>>>(READERS);
        let listing = spawn_blocking(move || {
            let listed = list(&place, condition.as_ref(), limit, size, |group| send.blocking_send(Ok(group)).is_ok());
            if let Err(error) = listed {
                // Nobody is there to be told only if nobody asks for more.
                let _ = send.blocking_send(Err(error));
            }
        });
        let groups = stream::unfold((receive, Some(listing)), |(mut receive, listing)| async move {
            match receive.recv().await {
                Some(group) => Some((group, (receive, listing))),
                None => match listing?.await {
                    Ok(()) => None,
                    Err(e) => Some((Err(exec_datafusion_err!("the listing ended early: {e}")), (receive, None))),
                },
            }
        });
        let columns: Arc<[Column]> = self.columns.clone().into();
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let batches = {
            let schema = Arc::clone(&schema);
            groups.map(move |group| {
                let (schema, columns) = (Arc::clone(&schema), Arc::clone(&columns));
                async move { read(group?, columns, schema, on_error).await }
            })
        };
        let batches = batches.buffered(READERS).inspect(move |batch| {
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

async fn read(
    group: Vec<Entry>,
    columns: Arc<[Column]>,
    schema: Arc<Schema>,
    on_error: imbed_core::options::OnError,
) -> Result<arrow_array::RecordBatch> {
    spawn_blocking(move || batch(&group, &columns, schema, on_error))
        .await
        .map_err(|e| exec_datafusion_err!("reading files ended early: {e}"))?
}
