//! Fewer files at once below an embedding.
//!
//! A scan of Parquet holds one row group's column of images for each of its partitions, and there are as many of those as cores. As
//! all partitions feed one pipeline, which is slower than reading, a few of them keep it busy.

use std::sync::Arc;

use datafusion::{
    common::tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    config::ConfigOptions,
    datasource::{
        physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder},
        source::DataSourceExec,
    },
    error::Result,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{ExecutionPlan, filter::FilterExec, projection::ProjectionExec, replace_children_if_necessary},
};

use super::EmbedExec;

/// Partitions of a scan that is embedded: one is read while the rows of the other are worked on.
const MOST: usize = 2;

/// Joins the partitions of scans below [`EmbedExec`] until there are [`MOST`].
#[derive(Debug)]
pub(crate) struct ScanRule;

impl PhysicalOptimizerRule for ScanRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let narrowed = plan.transform_down(|plan| {
            if !plan.is::<EmbedExec>() {
                return Ok(Transformed::no(plan));
            }
            let narrowed = narrow(Arc::clone(plan.children()[0]))?;
            if !narrowed.transformed {
                return Ok(Transformed::no(plan));
            }
            replace_children_if_necessary(plan, vec![narrowed.data]).map(Transformed::yes)
        })?;
        Ok(narrowed.data)
    }

    fn name(&self) -> &'static str {
        "imbed_scan"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `plan` with fewer partitions, as far down as nodes have the partitions of their input.
fn narrow(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    plan.transform_down(|plan| {
        let scan = plan.downcast_ref::<DataSourceExec>().and_then(|node| node.data_source().downcast_ref());
        if let Some(scan) = scan {
            return Ok(match joined(scan) {
                Some(scan) => Transformed::yes(DataSourceExec::from_data_source(scan) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(plan),
            });
        }
        let passes = plan.is::<FilterExec>() || plan.is::<ProjectionExec>();
        let next = if passes { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Jump };
        Ok(Transformed::new(plan, false, next))
    })
}

/// The scan with groups of files joined, in their order; `None` where others count on how they are.
fn joined(scan: &FileScanConfig) -> Option<FileScanConfig> {
    let groups = &scan.file_groups;
    if groups.len() <= MOST || scan.output_partitioning.is_some() || !scan.output_ordering.is_empty() {
        return None;
    }
    let joined = groups.chunks(groups.len().div_ceil(MOST)).map(|groups| {
        let files = groups.iter().flat_map(|group| group.files().iter().cloned());
        FileGroup::new(files.collect())
    });
    Some(FileScanConfigBuilder::from(scan.clone()).with_file_groups(joined.collect()).build())
}
