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
    physical_plan::{ExecutionPlan, ExecutionPlanProperties, replace_children_if_necessary, union::UnionExec},
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
            Ok(match spread(&node, config.execution.target_partitions, config)? {
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

/// `node` over scans of `wanted` partitions, if there are some below it with nothing in between that needs all rows.
fn spread(
    node: &Arc<dyn ExecutionPlan>,
    wanted: usize,
    config: &ConfigOptions,
) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if node.output_partitioning().partition_count() >= wanted {
        return Ok(None);
    }
    let children = node.children();
    if children.is_empty() {
        return node.repartitioned(wanted, config);
    }
    if children.len() > 1 && !node.is::<UnionExec>() {
        return Ok(None);
    }
    let share = wanted.div_ceil(children.len());
    let mut changed = false;
    let mut spreads = Vec::with_capacity(children.len());
    for child in children {
        let spread = spread(child, share, config)?;
        changed |= spread.is_some();
        spreads.push(spread.unwrap_or_else(|| Arc::clone(child)));
    }
    if changed { replace_children_if_necessary(Arc::clone(node), spreads).map(Some) } else { Ok(None) }
}
