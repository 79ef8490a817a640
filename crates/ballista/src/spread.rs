//! The rule that deals the files below an embedding out to as many partitions as the session wants.
//!
//! In one process more partitions do not embed faster, so nothing asks for them there. Here each is a task for some executor. It is
//! the scan that is dealt out, never its rows: no image goes through a shuffle.

use std::sync::Arc;

use datafusion::{
    common::tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    config::ConfigOptions,
    error::Result,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{ExecutionPlan, ExecutionPlanProperties, replace_children_if_necessary},
};

/// The node whose input is dealt out.
const EMBEDS: &str = "EmbedExec";

#[derive(Debug)]
pub(crate) struct SpreadScans;

impl PhysicalOptimizerRule for SpreadScans {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let spread = plan.transform_down(|node| {
            if node.name() != EMBEDS {
                return Ok(Transformed::no(node));
            }
            Ok(match spread(&node, config)? {
                // What is below is done.
                Some(node) => Transformed::new(node, true, TreeNodeRecursion::Jump),
                None => Transformed::no(node),
            })
        })?;
        Ok(spread.data)
    }

    fn name(&self) -> &'static str {
        "imbed_spread_scans"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `node` over a scan of more partitions, if there is one below it with nothing in between that needs all rows.
fn spread(node: &Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let wanted = config.execution.target_partitions;
    if node.output_partitioning().partition_count() >= wanted {
        return Ok(None);
    }
    match node.children().as_slice() {
        [] => node.repartitioned(wanted, config),
        [child] => match spread(child, config)? {
            Some(child) => replace_children_if_necessary(Arc::clone(node), vec![child]).map(Some),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}
