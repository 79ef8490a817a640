//! What an executor does with a plan before it runs: it tells the nodes that write parts which parts of the whole a task has.
//!
//! The scheduler cuts a plan to the partitions of one task before it sends it, and an executor counts those from 0 again. The
//! numbers that they have in the whole come beside the plan.

use std::sync::Arc;

use ballista_core::JobId;
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::{
    common::tree_node::{Transformed, TreeNode},
    error::Result,
    physical_plan::ExecutionPlan,
    prelude::SessionConfig,
};

use imbed_datafusion::wire;

use crate::save::SavePartsExec;

/// Ballista's engine, behind that.
pub(crate) struct Numbering(pub(crate) DefaultExecutionEngine);

impl ExecutionEngine for Numbering {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        global_output_partition_ids: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let numbered = wire::restore(plan)?.transform_down(|node| {
            Ok(match node.downcast_ref::<SavePartsExec>() {
                Some(save) => Transformed::yes(Arc::new(save.numbered(&global_output_partition_ids)) as _),
                None => Transformed::no(node),
            })
        })?;
        self.0.create_query_stage_exec(
            job_id,
            stage_id,
            task_id,
            global_output_partition_ids,
            numbered.data,
            work_dir,
            config,
        )
    }
}
