//! The rule that deals the files below an embedding out to as many partitions as the session wants.
//!
//! In one process more partitions do not embed faster, and there a rule joins them. On a cluster each is a task for some executor. It
//! is the scan that is dealt out, never its rows: no image goes through a shuffle.

use std::sync::Arc;

use datafusion::{
    common::tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    config::ConfigOptions,
    error::Result,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{ExecutionPlan, ExecutionPlanProperties, replace_children_if_necessary},
};

use super::EmbedExec;

/// Asks the scan below each [`EmbedExec`] for more partitions.
#[derive(Debug)]
pub(crate) struct SpreadRule;

impl PhysicalOptimizerRule for SpreadRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let spread = plan.transform_down(|node| {
            if !node.is::<EmbedExec>() {
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
        "imbed_spread"
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
