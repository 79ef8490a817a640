//! Planning on the scheduler: DataFusion's own, which is told what [`SaveParts`] is and where to embed.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::{
    catalog::Session,
    error::Result,
    execution::context::QueryPlanner,
    logical_expr::{LogicalPlan, UserDefinedLogicalNode, physical_planning_context::PhysicalPlanningContext},
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::ExecutionPlan,
    physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner},
};

use crate::{
    save::{SaveParts, SavePartsExec},
    told::tell,
};

#[derive(Debug)]
pub(crate) struct Planner {
    /// What is done to a plan before Ballista's adaptive planner has it, which takes no rules of a session.
    rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>,
}

impl Planner {
    pub(crate) fn new(rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>) -> Self {
        Self { rules }
    }
}

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(&self, plan: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(SavePlanner)]);
        let planned = planner.create_physical_plan(plan, session).await.map_err(tell)?;
        let options = session.config_options();
        self.rules.iter().try_fold(planned, |plan, rule| rule.optimize(plan, options)).map_err(tell)
    }
}

struct SavePlanner;

#[async_trait]
impl ExtensionPlanner for SavePlanner {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let (Some(save), [input]) = (node.as_any().downcast_ref::<SaveParts>(), inputs) else { return Ok(None) };
        Ok(Some(Arc::new(SavePartsExec::new(Arc::clone(input), save.parts().clone()))))
    }
}
