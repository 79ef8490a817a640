//! What an executor does with a plan before it runs: it tells the nodes that write parts which parts of the whole a task has.
//!
//! The scheduler cuts a plan to the partitions of one task before it sends it, and an executor counts those from 0 again. The
//! numbers that they have in the whole come beside the plan.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use ballista_core::{
    JobId,
    serde::protobuf::{RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport},
};
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::{
    common::tree_node::{Transformed, TreeNode},
    error::Result,
    execution::TaskContext,
    physical_plan::{ExecutionPlan, metrics::MetricsSet},
    prelude::SessionConfig,
};

use imbed_datafusion::wire;

use crate::{save::SavePartsExec, told::tell};

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
        let stage = self.0.create_query_stage_exec(
            job_id,
            stage_id,
            task_id,
            global_output_partition_ids,
            numbered.data,
            work_dir,
            config,
        )?;
        Ok(Arc::new(Telling(stage)))
    }
}

/// A stage whose errors can be told to the client.
#[derive(Debug)]
struct Telling(Arc<dyn QueryStageExecutor>);

impl fmt::Display for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl QueryStageExecutor for Telling {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        self.0.execute_query_stage(task_id, context).await.map_err(tell)
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.0.collect_plan_metrics()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.0.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.0.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.0.collect_column_stats()
    }
}
