//! The table over many processes: it is listed once, when the query is planned, and its files are dealt out to partitions.
//!
//! ```text
//!   DataSourceExec: partitions of listed files   -->   ReadImagesExec: their bytes
//! ```

use std::{fmt, path::Path, sync::Arc};

use arrow_array::{
    Array, RecordBatch,
    cast::AsArray,
    types::{Int64Type, TimestampMicrosecondType},
};
use arrow_schema::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{exec_datafusion_err, tree_node::TreeNodeRecursion},
    datasource::memory::MemorySourceConfig,
    error::Result,
    execution::{TaskContext, runtime_env::RuntimeEnv},
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
        SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet},
    },
};
use futures::{StreamExt, stream};

use super::{
    Column, ImagesTable, LISTED, SCHEMA, filter, groups,
    listing::{Entry, GroupSize, Sieve, columns},
    place::Place,
    read::Reading,
    reader::{self, Reader},
};
use crate::embed::FAILED_ROWS;

/// Files that are listed at once.
const LISTED_ROWS: usize = 8192;

/// What a file counts for when files are dealt out, beside its bytes: opening it and whatever else each image costs.
const FILE_COST: u64 = 64 << 10;

/// The images that one place means, for a plan that many processes run.
#[derive(Debug, Clone)]
pub(crate) struct SpreadImages {
    pub(crate) table: ImagesTable,
    /// The folder that relative paths start from: where the query comes from.
    pub(crate) base: Option<String>,
}

impl SpreadImages {
    /// The files that meet `condition`, until there are `most`.
    async fn entries(
        &self,
        condition: Option<&Arc<dyn PhysicalExpr>>,
        most: usize,
        runtime: &RuntimeEnv,
    ) -> Result<Vec<Entry>> {
        let sieve = Sieve::new(None, None, GroupSize { rows: LISTED_ROWS, bytes: u64::MAX });
        let mut groups = groups::listed(&self.table.place.from(self.base.as_deref()), sieve, runtime)?;
        let mut entries = Vec::new();
        while let Some(group) = groups.next().await.filter(|_| entries.len() < most) {
            let group = group?.into_iter().map(|entry| self.relative(entry)).collect();
            entries.extend(matching(condition, group)?.into_iter().take(most - entries.len()));
        }
        Ok(entries)
    }

    /// `entry` as a query that runs in the base folder sees it.
    fn relative(&self, entry: Entry) -> Entry {
        let Place::Local(place) = &self.table.place else { return entry };
        match self.base.as_deref().filter(|_| Path::new(place).is_relative()) {
            Some(base) => match Path::new(&entry.path).strip_prefix(base) {
                Ok(path) => Entry { path: path.to_string_lossy().into_owned(), ..entry },
                Err(_) => entry,
            },
            None => entry,
        }
    }
}

/// Those of `entries` that meet `condition`.
fn matching(condition: Option<&Arc<dyn PhysicalExpr>>, entries: Vec<Entry>) -> Result<Vec<Entry>> {
    let Some(condition) = condition else { return Ok(entries) };
    let listed = RecordBatch::try_new(Arc::clone(&LISTED), columns(&entries).to_vec())?;
    let keep = filter::matching(condition, &listed)?;
    let kept = entries.into_iter().enumerate().filter(|(i, _)| keep.is_valid(*i) && keep.value(*i));
    Ok(kept.map(|(_, entry)| entry).collect())
}

/// `entries` in at most `wanted` parts of about the same cost, none of them empty unless all are.
fn deal(entries: &[Entry], wanted: usize) -> Vec<&[Entry]> {
    let cost = |entry: &Entry| entry.size.unwrap_or(0).max(0) as u64 + FILE_COST;
    let total: u64 = entries.iter().map(cost).sum();
    let wanted = wanted.clamp(1, entries.len().max(1)) as u64;
    let mut parts = Vec::new();
    let (mut start, mut before) = (0, 0);
    for (i, entry) in entries.iter().enumerate() {
        before += cost(entry);
        let left = (wanted as usize).saturating_sub(parts.len() + 1);
        // A part ends where its share does, and where as many files are left as parts.
        let full = before.saturating_mul(wanted) >= total.saturating_mul(parts.len() as u64 + 1);
        if left > 0 && (full || entries.len() - i - 1 == left) {
            parts.push(&entries[start..=i]);
            start = i + 1;
        }
    }
    parts.push(&entries[start..]);
    parts
}

#[async_trait]
impl TableProvider for SpreadImages {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&SCHEMA)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.table.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let condition = filter::plan(state, filters)?;
        let runtime = Arc::clone(state.runtime_env());
        let entries = self.entries(condition.as_ref(), limit.unwrap_or(usize::MAX), runtime.as_ref()).await?;
        let partitions: Vec<Vec<RecordBatch>> = deal(&entries, state.config().target_partitions())
            .into_iter()
            .map(|part| Ok(vec![RecordBatch::try_new(Arc::clone(&LISTED), columns(part).to_vec())?]))
            .collect::<Result<_>>()?;
        let listed = MemorySourceConfig::try_new_exec(&partitions, Arc::clone(&LISTED), None)?;
        let columns = match projection {
            Some(projection) => projection.iter().filter_map(|i| Column::ALL.get(*i).copied()).collect(),
            None => Column::ALL.to_vec(),
        };
        Ok(Arc::new(ReadImagesExec::new(listed, columns, self.table.clone(), self.base.clone())))
    }
}

/// Reads the files that its input lists.
#[derive(Debug)]
pub(crate) struct ReadImagesExec {
    input: Arc<dyn ExecutionPlan>,
    pub(crate) columns: Vec<Column>,
    /// Where the files were listed.
    pub(crate) table: ImagesTable,
    pub(crate) base: Option<String>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ReadImagesExec {
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        columns: Vec<Column>,
        table: ImagesTable,
        base: Option<String>,
    ) -> Self {
        let fields: Vec<_> = columns.iter().map(|column| column.field()).collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(Schema::new(fields))),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let metrics = ExecutionPlanMetricsSet::new();
        Self { input, columns, table, base, properties: Arc::new(properties), metrics }
    }
}

impl DisplayAs for ReadImagesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.columns.iter().map(|column| column.name()).collect();
        write!(f, "ReadImagesExec: {}, columns=[{}]", self.table.place, columns.join(", "))?;
        self.base.as_ref().map_or(Ok(()), |base| write!(f, ", relative paths from {base}"))
    }
}

impl ExecutionPlan for ReadImagesExec {
    fn name(&self) -> &'static str {
        "ReadImagesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.swap_remove(0);
        Ok(Arc::new(Self::new(input, self.columns.clone(), self.table.clone(), self.base.clone())))
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let size = reader::group_size(&self.columns, &context);
        let listed = self.input.execute(partition, Arc::clone(&context))?;
        let groups = listed.flat_map(move |listed| {
            let groups = listed.and_then(|listed| Ok(size.groups(entries(&listed)?)));
            stream::iter(match groups {
                Ok(groups) => groups.into_iter().map(Ok).collect::<Vec<_>>(),
                Err(error) => vec![Err(error)],
            })
        });
        let count = MetricBuilder::new(&self.metrics).counter(FAILED_ROWS, partition);
        let base = self.base.as_deref().map(Arc::from);
        let reading = Reading { on_error: self.table.on_error, base, count };
        let reader = Reader { columns: self.columns.clone().into(), schema: self.schema(), reading };
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        reader.stream(groups, &self.table.place, context.runtime_env().as_ref(), metrics)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The files of a batch that was listed elsewhere.
fn entries(listed: &RecordBatch) -> Result<Vec<Entry>> {
    let wrong = || exec_datafusion_err!("a listing has the columns {}", listed.schema());
    let paths = listed.column_by_name(Column::Path.name()).and_then(|c| c.as_string_opt::<i32>()).ok_or_else(wrong)?;
    let sizes = listed.column_by_name(Column::Size.name()).and_then(|c| c.as_primitive_opt::<Int64Type>());
    let modified = listed.column_by_name(Column::Modified.name());
    let modified = modified.and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    let (sizes, modified) = sizes.zip(modified).ok_or_else(wrong)?;
    let rows = 0..listed.num_rows();
    Ok(rows
        .map(|row| Entry {
            path: paths.value(row).to_owned(),
            size: sizes.is_valid(row).then(|| sizes.value(row)),
            modified: modified.is_valid(row).then(|| modified.value(row)),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(sizes: &[i64]) -> Vec<Entry> {
        let entry = |(i, size): (usize, &i64)| Entry { path: format!("{i}"), size: Some(*size), modified: None };
        sizes.iter().enumerate().map(entry).collect()
    }

    #[test]
    fn files_are_dealt_out_by_bytes_in_order_and_none_is_lost() {
        let lengths = |sizes: &[i64], wanted| deal(&files(sizes), wanted).iter().map(|p| p.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&[1, 1, 1, 1], 2), [2, 2]);
        assert_eq!(lengths(&[100 << 20, 1, 1, 1], 2), [1, 3]);
        assert_eq!(lengths(&[1, 1, 1, 100 << 20], 4), [1, 1, 1, 1]);
        assert_eq!(lengths(&[1, 1], 9), [1, 1]);
        assert_eq!(lengths(&[], 3), [0]);
        let many = files(&(0..1000).map(|i| i * 5000).collect::<Vec<_>>());
        let parts = deal(&many, 16);
        assert_eq!(parts.len(), 16);
        assert_eq!(parts.concat(), many);
    }
}
