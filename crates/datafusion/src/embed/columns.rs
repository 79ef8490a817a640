//! Columns that nobody asks for end at [`EmbedExec`]: the images, most often, which whatever stands above would hold on to.

use std::sync::Arc;

use datafusion::{
    common::tree_node::{Transformed, TreeNode},
    error::Result,
    physical_expr::{PhysicalExpr, expressions::Column, projection::ProjectionExpr, utils::collect_columns},
    physical_plan::{ExecutionPlan, projection::ProjectionExec},
};

use super::EmbedExec;

/// `node` over an [`EmbedExec`] without the columns that it does not read; `None` if it reads all, or stands over something else.
pub(super) fn drop_unused(node: &ProjectionExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(embed) = node.input().downcast_ref::<EmbedExec>() else { return Ok(None) };
    let before = embed.kept();
    let read = |i: &usize| node.expr().iter().any(|p| collect_columns(&p.expr).iter().any(|c| c.index() == *i));
    let places: Vec<usize> = (0..before.len()).filter(read).collect();
    if places.len() == before.len() {
        return Ok(None);
    }
    let narrow = embed.keeping(places.iter().map(|i| before[*i]).collect())?;
    let place = |i: usize| match i.checked_sub(before.len()) {
        Some(vector) => places.len() + vector,
        // Every column that an expression reads is there.
        None => places.iter().position(|place| *place == i).unwrap_or_default(),
    };
    let exprs = node.expr().iter().map(|projected| {
        let expr = Arc::clone(&projected.expr).transform(|expr| {
            let moved = expr.downcast_ref::<Column>().map(|c| Arc::new(Column::new(c.name(), place(c.index()))));
            Ok(moved.map_or_else(|| Transformed::no(expr), |column| Transformed::yes(column as Arc<dyn PhysicalExpr>)))
        })?;
        Ok(ProjectionExpr { expr: expr.data, alias: projected.alias.clone() })
    });
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    Ok(Some(Arc::new(ProjectionExec::try_new(exprs, Arc::new(narrow))?)))
}
