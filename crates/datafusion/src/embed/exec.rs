//! The plan node that embeds: its input's columns, and a column of vectors for each call of `embed_image`.

use std::{fmt, sync::Arc};

use arrow_schema::{FieldRef, Schema};
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::Result,
    execution::TaskContext,
    physical_expr::{PhysicalExpr, expressions::Column, projection::ProjectionMapping},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
        SendableRecordBatchStream,
        execution_plan::CardinalityEffect,
        metrics::{ExecutionPlanMetricsSet, MetricsSet},
    },
};

use super::{Source, fuse::Fused, size::Bounds, stream::EmbedStream};
use crate::models::Model;

/// One call of `embed_image` in a plan.
#[derive(Debug, Clone)]
pub(crate) struct EmbedCall {
    pub(crate) model: Arc<Model>,
    /// Where the images come from, and what is done to them first.
    pub(crate) input: Fused,
    /// Calls before this one that give the same vectors: the first of them.
    pub(crate) same_as: Option<usize>,
}

/// Embeds the rows of its input, in bounded memory and in their order, on the pipeline that the process has for each model.
#[derive(Debug)]
pub(crate) struct EmbedExec {
    input: Arc<dyn ExecutionPlan>,
    /// The columns of the input that the output has, in their order.
    kept: Arc<[usize]>,
    calls: Arc<[EmbedCall]>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl EmbedExec {
    /// A node whose output has the columns `kept` of `input`, and the fields `vectors`, one for each of `calls`.
    pub(crate) fn try_new(
        calls: Arc<[EmbedCall]>,
        kept: Arc<[usize]>,
        vectors: impl IntoIterator<Item = FieldRef>,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Self> {
        let schema = input.schema();
        let fields = kept.iter().map(|i| Arc::clone(&schema.fields()[*i])).chain(vectors).collect::<Vec<_>>();
        let output = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
        let columns = kept.iter().map(|i| {
            let name = schema.field(*i).name();
            (Arc::new(Column::new(name, *i)) as Arc<dyn PhysicalExpr>, name.clone())
        });
        let mapping = ProjectionMapping::try_new(columns, &schema)?;
        let equivalences = input.equivalence_properties();
        let properties = PlanProperties::new(
            equivalences.project(&mapping, output),
            input.output_partitioning().project(&mapping, equivalences),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Ok(Self { input, kept, calls, properties: Arc::new(properties), metrics: ExecutionPlanMetricsSet::new() })
    }

    pub(super) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// The columns of the input that the output has.
    pub(crate) fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// This node over `input`, which has the same columns.
    pub(super) fn over(&self, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        Self::try_new(Arc::clone(&self.calls), Arc::clone(&self.kept), self.vectors(), input)
    }

    /// This node with fewer columns of its input in the output.
    pub(super) fn keeping(&self, kept: Arc<[usize]>) -> Result<Self> {
        Self::try_new(Arc::clone(&self.calls), kept, self.vectors(), Arc::clone(&self.input))
    }

    /// The fields of the vectors.
    fn vectors(&self) -> Vec<FieldRef> {
        self.schema().fields()[self.kept.len()..].to_vec()
    }

    /// The calls of `embed_image`, in the order of their columns.
    pub(crate) fn calls(&self) -> &[EmbedCall] {
        &self.calls
    }
}

impl DisplayAs for EmbedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmbedExec: ")?;
        let first = self.kept.len();
        for (i, call) in self.calls.iter().enumerate() {
            let schema = self.schema();
            let name = schema.field(first + i).name();
            let separator = if i > 0 { "; " } else { "" };
            if let Some(same) = call.same_as {
                write!(f, "{separator}{name} = {}", schema.field(first + same).name())?;
                continue;
            }
            let descriptor = &call.model.descriptor;
            write!(f, "{separator}{name} = {} of {}", descriptor.model(), call.input.image)?;
            if let Some(steps) = &call.input.steps {
                let decoded = (call.input.source != Source::Decoded).then(|| "decode".to_owned());
                let steps = decoded.into_iter().chain(steps.then.iter().map(ToString::to_string));
                write!(f, " fused with [{}]", steps.collect::<Vec<_>>().join(", "))?;
            }
            let (provider, size) = (descriptor.provider(), descriptor.dimensions().size);
            write!(f, ", provider {provider}, {size} numbers, on_error {}", call.model.on_error)?;
        }
        let Bounds { rows, .. } = Bounds::of(self.input.as_ref());
        write!(f, "; reads {rows} rows at once")
    }
}

impl ExecutionPlan for EmbedExec {
    fn name(&self) -> &'static str {
        "EmbedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for call in self.calls.iter() {
            if f(&call.input.image)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(self.over(children.swap_remove(0))?))
    }

    // It does, as its properties say. But who is told so here moves sorts below it, where the rows have images.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    // One pipeline works for all partitions, with every core: more partitions would only read more at once.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn supports_limit_pushdown(&self) -> bool {
        true
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let bounds = Bounds::of(self.input.as_ref());
        let input = self.input.execute(partition, small_batches(&context, bounds.rows))?;
        Ok(Box::pin(EmbedStream::new(
            input,
            Arc::clone(&self.kept),
            Arc::clone(&self.calls),
            self.schema(),
            partition,
            bounds,
            &self.metrics,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The same context, in which scans and other nodes make batches of at most `rows`.
fn small_batches(context: &TaskContext, rows: usize) -> Arc<TaskContext> {
    let config = context.session_config().clone();
    let rows = rows.min(config.batch_size());
    Arc::new(TaskContext::new(
        context.task_id(),
        context.session_id(),
        config.with_batch_size(rows),
        context.scalar_functions().clone(),
        context.higher_order_functions().clone(),
        context.aggregate_functions().clone(),
        context.window_functions().clone(),
        context.runtime_env(),
    ))
}
