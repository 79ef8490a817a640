//! The optimizer rule that puts [`EmbedExec`] where a plan calls `embed_image`, with no more columns and rows than are asked for.

use std::sync::Arc;

use arrow_schema::Schema;
use datafusion::{
    common::tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    config::ConfigOptions,
    error::Result,
    logical_expr::ScalarUDF,
    physical_expr::{PhysicalExpr, ScalarFunctionExpr, async_scalar_function::AsyncFuncExpr, expressions::Literal},
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{ExecutionPlan, async_func::AsyncFuncExec, projection::ProjectionExec, sorts::sort::SortExec},
    scalar::ScalarValue,
};

use super::{EmbedExec, columns, exec::EmbedCall, fuse::Fused, limit};
use crate::{bound, error::wrap, functions::EmbedImage};

/// Replaces DataFusion's node for asynchronous calls, which gathers 8192 rows before it works on any, by one that streams.
#[derive(Debug)]
pub(crate) struct EmbedRule {
    /// The functions whose calls are known, as registered and as they are.
    functions: Vec<(ScalarUDF, EmbedImage)>,
}

impl EmbedRule {
    pub(crate) fn new(functions: Vec<(ScalarUDF, EmbedImage)>) -> Self {
        Self { functions }
    }

    /// The node in the place of `node`, unless something else than `embed_image` is called there too.
    fn replace(&self, node: &AsyncFuncExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let mut exprs: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
        node.apply_expressions(&mut |expr| {
            exprs.push(Arc::clone(expr));
            Ok(TreeNodeRecursion::Continue)
        })?;
        let input = node.input();
        let mut calls: Vec<EmbedCall> = Vec::new();
        let mut seen: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
        for expr in exprs {
            let Some(call) = expr.downcast_ref::<AsyncFuncExpr>() else { return Ok(None) };
            let Some(mut embed) = self.call(&call.func, &input.schema())? else { return Ok(None) };
            embed.same_as = seen.iter().position(|other| other.eq(&call.func));
            seen.push(Arc::clone(&call.func));
            calls.push(embed);
        }
        let columns = input.schema().fields().len();
        let vectors = node.schema().fields()[columns..].to_vec();
        Ok(Some(Arc::new(EmbedExec::try_new(calls.into(), (0..columns).collect(), vectors, Arc::clone(input))?)))
    }

    fn call(&self, func: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Option<EmbedCall>> {
        let Some(func) = func.downcast_ref::<ScalarFunctionExpr>() else { return Ok(None) };
        let Some(image) = func.args().first() else { return Ok(None) };
        let model = match self.functions.iter().find(|(udf, _)| udf == func.fun()) {
            Some((_, function)) => {
                let scalars: Vec<Option<&ScalarValue>> =
                    func.args().iter().map(|arg| arg.downcast_ref::<Literal>().map(Literal::value)).collect();
                function.model(&scalars).map_err(wrap)?
            }
            None => match bound::model(func.fun()) {
                Some(model) => model,
                None => return Ok(None),
            },
        };
        let input = Fused::new(image, schema, model.on_error)?;
        Ok(Some(EmbedCall { model, input, same_as: None }))
    }
}

impl PhysicalOptimizerRule for EmbedRule {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let replaced = plan.transform_up(|plan| {
            let better = if let Some(node) = plan.downcast_ref::<AsyncFuncExec>() {
                self.replace(node)?
            } else if let Some(node) = plan.downcast_ref::<ProjectionExec>() {
                columns::drop_unused(node)?
            } else if let Some(node) = plan.downcast_ref::<SortExec>() {
                limit::first_rows(node)?
            } else {
                None
            };
            Ok(better.map_or_else(|| Transformed::no(plan), Transformed::yes))
        })?;
        Ok(replaced.data)
    }

    fn name(&self) -> &'static str {
        "imbed_embed"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
