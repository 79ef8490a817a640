//! The scan: one thread lists, others read groups of files ahead, and batches leave in the order of the listing.

use std::{fmt, sync::Arc};

use super::{
    Column, ImagesTable, SCHEMA, groups,
    listing::Sieve,
    read::Reading,
    reader::{self, Reader},
};
use crate::embed::FAILED_ROWS;
use arrow_schema::SchemaRef;
use datafusion::{
    common::{internal_err, tree_node::TreeNodeRecursion},
    error::Result,
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet},
    },
};

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
        let sieve = Sieve::new(self.condition.clone(), self.limit, reader::group_size(&self.columns, &context));
        let count = MetricBuilder::new(&self.metrics).counter(FAILED_ROWS, partition);
        let reading = Reading { on_error: self.table.on_error, base: None, count };
        let reader = Reader { columns: self.columns.clone().into(), schema: self.schema(), reading };
        let groups = groups::listed(&self.table.place, sieve, context.runtime_env().as_ref())?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        reader.stream(groups, &self.table.place, context.runtime_env().as_ref(), metrics)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
