//! The table over many processes: it is listed once, when the query is planned, and its files are dealt out to partitions.
//!
//! ```text
//!   DataSourceExec: partitions of listed files   -->   ReadImagesExec: their bytes
//! ```

use std::{fmt, path::Path, sync::Arc};

use arrow_array::{
    Array, ArrayRef, RecordBatch, StringArray,
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
    execution::TaskContext,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
        SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream};
use imbed_core::options::OnError;
use tokio::task::spawn_blocking;

use super::{
    Column, ImagesTable, LISTED, SCHEMA, filter,
    listing::{Entry, GroupSize, columns, list},
    read::batch,
};

/// Bytes of files in one batch.
const MAX_BYTES: u64 = 16 << 20;

/// Groups that are read at once.
const READERS: usize = 3;

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
    /// The files in groups of about the same cost, in the order of the listing.
    fn partitions(
        &self,
        condition: Option<&Arc<dyn PhysicalExpr>>,
        limit: Option<usize>,
        wanted: usize,
    ) -> Result<Vec<Vec<RecordBatch>>> {
        let mut entries = Vec::new();
        let mut failure = None;
        let most = limit.unwrap_or(usize::MAX);
        let place = absolute(self.base.as_deref(), &self.table.place);
        let size = GroupSize { rows: LISTED_ROWS, bytes: u64::MAX };
        list(&place, None, None, size, |group| {
            let group = group.into_iter().map(|entry| self.relative(entry)).collect();
            match matching(condition, group) {
                Ok(group) => entries.extend(group.into_iter().take(most - entries.len())),
                Err(error) => failure = Some(error),
            }
            failure.is_none() && entries.len() < most
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        deal(&entries, wanted)
            .into_iter()
            .map(|part| Ok(vec![RecordBatch::try_new(Arc::clone(&LISTED), columns(part).to_vec())?]))
            .collect()
    }

    /// `entry` as a query that runs in the base folder sees it.
    fn relative(&self, entry: Entry) -> Entry {
        match self.base.as_deref().filter(|_| Path::new(&self.table.place).is_relative()) {
            Some(base) => match Path::new(&entry.path).strip_prefix(base) {
                Ok(path) => Entry { path: path.to_string_lossy().into_owned(), ..entry },
                Err(_) => entry,
            },
            None => entry,
        }
    }
}

/// `path` from `base`, unless it is absolute.
fn absolute(base: Option<&str>, path: &str) -> String {
    match base {
        Some(base) => Path::new(base).join(path).to_string_lossy().into_owned(),
        None => path.to_owned(),
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
        let wanted = state.config().target_partitions();
        let this = self.clone();
        let partitions = spawn_blocking(move || this.partitions(condition.as_ref(), limit, wanted))
            .await
            .map_err(|e| exec_datafusion_err!("the listing ended early: {e}"))??;
        let listed = MemorySourceConfig::try_new_exec(&partitions, Arc::clone(&LISTED), None)?;
        let columns = match projection {
            Some(projection) => projection.iter().filter_map(|i| Column::ALL.get(*i).copied()).collect(),
            None => Column::ALL.to_vec(),
        };
        Ok(Arc::new(ReadImagesExec::new(listed, columns, self.table.on_error, self.base.clone())))
    }
}

/// Reads the files that its input lists.
#[derive(Debug)]
pub(crate) struct ReadImagesExec {
    input: Arc<dyn ExecutionPlan>,
    pub(crate) columns: Vec<Column>,
    pub(crate) on_error: OnError,
    pub(crate) base: Option<String>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl ReadImagesExec {
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        columns: Vec<Column>,
        on_error: OnError,
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
        Self { input, columns, on_error, base, properties: Arc::new(properties), metrics }
    }
}

impl DisplayAs for ReadImagesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self.columns.iter().map(|column| column.name()).collect();
        write!(f, "ReadImagesExec: columns=[{}]", columns.join(", "))?;
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
        Ok(Arc::new(Self::new(input, self.columns.clone(), self.on_error, self.base.clone())))
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let bytes = if self.columns.contains(&Column::Image) { MAX_BYTES } else { u64::MAX };
        let size = GroupSize { rows: context.session_config().batch_size(), bytes };
        let listed = self.input.execute(partition, context)?;
        let (schema, on_error) = (self.schema(), self.on_error);
        let columns: Arc<[Column]> = self.columns.clone().into();
        let base: Option<Arc<str>> = self.base.as_deref().map(Arc::from);
        let groups = listed.flat_map(move |listed| {
            let groups = listed.and_then(|listed| Ok(size.groups(entries(&listed)?)));
            stream::iter(match groups {
                Ok(groups) => groups.into_iter().map(Ok).collect::<Vec<_>>(),
                Err(error) => vec![Err(error)],
            })
        });
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let batches = {
            let schema = Arc::clone(&schema);
            groups.map(move |group| {
                let (schema, columns, base) = (Arc::clone(&schema), Arc::clone(&columns), base.clone());
                async move {
                    let group = group?;
                    spawn_blocking(move || read(group, &columns, schema, on_error, base.as_deref()))
                        .await
                        .map_err(|e| exec_datafusion_err!("reading files ended early: {e}"))?
                }
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

/// [`batch`], for files whose relative paths start from `base`.
fn read(
    mut group: Vec<Entry>,
    columns: &[Column],
    schema: SchemaRef,
    on_error: OnError,
    base: Option<&str>,
) -> Result<RecordBatch> {
    let shown = StringArray::from_iter_values(group.iter().map(|entry| &entry.path));
    for entry in &mut group {
        entry.path = absolute(base, &entry.path);
    }
    let read = batch(&group, columns, schema, on_error)?;
    let Some(path) = columns.iter().position(|column| *column == Column::Path) else { return Ok(read) };
    let mut arrays = read.columns().to_vec();
    arrays[path] = Arc::new(shown) as ArrayRef;
    Ok(RecordBatch::try_new(read.schema(), arrays)?)
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
