//! `count(embed_image(image))` becomes `count(e)` over a projection that embeds.
//!
//! DataFusion describes the arguments of an aggregate on the wire by the columns that its input has without asynchronous calls, and
//! whoever gets the plan does not find their results among them.

use std::sync::Arc;

use datafusion::{
    common::{
        Column,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    logical_expr::{Aggregate, Expr, LogicalPlan, Projection, expr_rewriter::NamePreserver},
};

use crate::bound;

/// `plan`, with calls of `embed_image` that are bound to a model below it, if it aggregates them.
pub(super) fn lifted(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Aggregate(aggregate) = plan else { return Ok(Transformed::no(plan)) };
    let names = NamePreserver::new_for_projection();
    let mut calls: Vec<Expr> = Vec::new();
    let mut aggregated = Vec::with_capacity(aggregate.aggr_expr.len());
    for expr in &aggregate.aggr_expr {
        let name = names.save(expr);
        let expr = expr.clone().transform_up(|expr| {
            if !matches!(&expr, Expr::ScalarFunction(call) if bound::model(&call.func).is_some()) {
                return Ok(Transformed::no(expr));
            }
            let place = calls.iter().position(|call| *call == expr).unwrap_or_else(|| {
                calls.push(expr);
                calls.len() - 1
            });
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(called(place)))))
        })?;
        aggregated.push(if expr.transformed { name.restore(expr.data) } else { expr.data });
    }
    if calls.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let columns = aggregate.input.schema().columns().into_iter().map(Expr::Column);
    let vectors = calls.into_iter().enumerate().map(|(place, call)| call.alias(called(place)));
    let below = Projection::try_new(columns.chain(vectors).collect(), Arc::clone(&aggregate.input))?;
    let below = Arc::new(LogicalPlan::Projection(below));
    Aggregate::try_new(below, aggregate.group_expr, aggregated).map(LogicalPlan::Aggregate).map(Transformed::yes)
}

fn called(place: usize) -> String {
    format!("__imbed_vector_{place}")
}
