//! Writing parts, as a physical plan has it: one file for each partition of the input.

use std::{fmt, sync::Arc};

use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use datafusion::{
    common::{internal_datafusion_err, internal_err, tree_node::TreeNodeRecursion},
    error::{DataFusionError, Result},
    execution::TaskContext,
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
        SendableRecordBatchStream,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, stream};

use super::{
    Parts, SUMMARY,
    done::{self, Done},
    rows,
    write::write,
};

/// Which parts of the whole the partitions of the input are.
#[derive(Debug, Clone)]
enum Numbers {
    /// The input is the whole.
    Own,
    /// The input was cut, and nobody has said yet how.
    Unknown,
    Given(Arc<[usize]>),
}

#[derive(Debug)]
pub(crate) struct SavePartsExec {
    input: Arc<dyn ExecutionPlan>,
    parts: Parts,
    numbers: Numbers,
    properties: Arc<PlanProperties>,
}

impl SavePartsExec {
    pub(crate) fn new(input: Arc<dyn ExecutionPlan>, parts: Parts) -> Self {
        Self::with_numbers(input, parts, Numbers::Own)
    }

    fn with_numbers(input: Arc<dyn ExecutionPlan>, parts: Parts, numbers: Numbers) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&SUMMARY)),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, parts, numbers, properties: Arc::new(properties) }
    }

    /// The same, where partition `i` of the input is part `numbers[i]` of the whole.
    pub(crate) fn numbered(&self, numbers: &[usize]) -> Self {
        Self::with_numbers(Arc::clone(&self.input), self.parts.clone(), Numbers::Given(numbers.into()))
    }

    /// What is sent of it, without its input.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(&self.parts).map_err(|e| internal_datafusion_err!("{e}"))
    }

    pub(crate) fn decode(bytes: &[u8], inputs: &[Arc<dyn ExecutionPlan>]) -> Result<Self> {
        let [input] = inputs else { return internal_err!("parts are written of one table, not {}", inputs.len()) };
        let parts = serde_json::from_slice(bytes).map_err(|e| internal_datafusion_err!("{e}"))?;
        Ok(Self::with_numbers(Arc::clone(input), parts, Numbers::Unknown))
    }

    /// The number of `partition` in the whole.
    fn number(&self, partition: usize) -> Result<usize> {
        match &self.numbers {
            Numbers::Own => Ok(partition),
            Numbers::Given(numbers) if numbers.len() > partition => Ok(numbers[partition]),
            Numbers::Given(_) | Numbers::Unknown => {
                internal_err!("nobody said which part of {} partition {partition} is", self.parts.shown())
            }
        }
    }
}

impl DisplayAs for SavePartsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SavePartsExec: {}", self.parts.shown())
    }
}

impl ExecutionPlan for SavePartsExec {
    fn name(&self) -> &'static str {
        "SavePartsExec"
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
        Ok(Arc::new(Self::with_numbers(children.swap_remove(0), self.parts.clone(), self.numbers.clone())))
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let number = self.number(partition)?;
        let parts = self.parts.clone();
        let input = Arc::clone(&self.input);
        let written = async move {
            let runtime = context.runtime_env();
            let rows = match parts.earlier() {
                Some(earlier) => rows::hash(&earlier.made, input.as_ref(), partition)?,
                None => None,
            };
            let mut done = done::find(&parts, number, rows.as_deref(), &runtime).await?;
            if done.is_none() {
                let written = write(&parts, number, rows, input.execute(partition, context)?, &runtime).await?;
                done = written.map(|written| Done { written, earlier: false });
            }
            // A part without rows has no file.
            Ok(done.map(|done| (done, parts.shown_part(number))))
        };
        let rows = stream::once(written).filter_map(|written: Result<_>| async move {
            match written {
                Ok(None) => None,
                Ok(Some((Done { written, earlier }, path))) => {
                    let number = |n: u64| Arc::new(UInt64Array::from(vec![n])) as ArrayRef;
                    let columns = vec![
                        number(written.rows),
                        number(written.failed),
                        number(written.bytes),
                        Arc::new(StringArray::from(vec![path])) as ArrayRef,
                        number(if earlier { written.rows } else { 0 }),
                    ];
                    Some(RecordBatch::try_new(Arc::clone(&SUMMARY), columns).map_err(DataFusionError::from))
                }
                Err(error) => Some(Err(error)),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&SUMMARY), rows)))
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int64Array, cast::AsArray, types::UInt64Type};
    use arrow_schema::{DataType, Field, Schema};
    use datafusion::{catalog::memory::MemorySourceConfig, physical_plan::collect, prelude::SessionContext};

    use super::*;

    /// Rows that the one part of so many rows is said to have, and how many of them were kept.
    async fn told(rows: usize, parts: &Parts) -> [Vec<u64>; 2] {
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
        let ids = Arc::new(Int64Array::from_iter_values(0..rows as i64));
        let batch = RecordBatch::try_new(Arc::clone(&schema), vec![ids]).unwrap();
        let table = MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None).unwrap();
        let plan = Arc::new(SavePartsExec::new(table, parts.clone()));
        let told = collect(plan, SessionContext::new().task_ctx()).await.unwrap();
        ["count", "kept"].map(|name| {
            let column = |batch: &RecordBatch| batch.column_by_name(name).unwrap().as_primitive::<UInt64Type>().clone();
            told.iter().flat_map(|batch| column(batch).values().to_vec()).collect()
        })
    }

    async fn saved(rows: usize, parts: &Parts) -> Vec<u64> {
        told(rows, parts).await[0].clone()
    }

    #[tokio::test]
    async fn a_query_keeps_what_an_earlier_one_has_written_of_the_same_rows() {
        let folder = tempfile::tempdir().unwrap();
        let again = |made: &str| Parts::new(folder.path().to_str().unwrap()).unwrap().with_earlier(made, false);
        assert_eq!(told(5, &again("so")).await, [[5], [0]]);
        assert_eq!(told(5, &again("so")).await, [[5], [5]]);
        assert_eq!(told(6, &again("so")).await, [[6], [0]]);
        assert_eq!(told(6, &again("otherwise")).await, [[6], [0]]);
        let runtime = SessionContext::new().runtime_env();
        again("otherwise").check_made(&runtime).await.unwrap();
        let mixed = again("so").check_made(&runtime).await.unwrap_err();
        assert!(mixed.message().contains("another run has written part-00000.parquet"), "{mixed}");
        // A query that says nothing of its own making keeps nothing.
        assert_eq!(told(6, &Parts::new(folder.path().to_str().unwrap()).unwrap()).await, [[6], [0]]);
        assert_eq!(told(6, &again("otherwise")).await, [[6], [0]]);
    }

    #[tokio::test]
    async fn what_a_query_has_written_it_finds_done_and_no_other_query_does() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().to_str().unwrap();
        let parts = Parts::new(name).unwrap();
        assert_eq!(saved(5, &parts).await, [5]);
        // The second attempt would have another number of rows, if it were made.
        assert_eq!(saved(7, &parts).await, [5]);
        assert_eq!(saved(7, &Parts::new(name).unwrap()).await, [7]);
        // A part that was damaged is made again.
        for (rows, damaged) in [(6, &b"PAR1"[..]), (8, b"")] {
            std::fs::write(folder.path().join(Parts::name(0)), damaged).unwrap();
            assert_eq!(saved(rows, &parts).await, [rows as u64]);
        }
    }
}
