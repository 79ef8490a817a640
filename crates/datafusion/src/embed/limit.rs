//! `ORDER BY size DESC LIMIT 10` embeds ten images, and not all of them to find out which ten.

use std::sync::Arc;

use datafusion::{
    error::Result,
    physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, expressions::Column},
    physical_plan::{ExecutionPlan, projection::ProjectionExec, replace_children_if_necessary, sorts::sort::SortExec},
};

use super::EmbedExec;

/// Rows that are found out before they are embedded, at most: each is kept with its image until all have been seen.
const MOST: usize = 256;

/// `node` over an embedding of the rows that it lets pass; `None` if vectors decide which those are, or there is no embedding.
pub(super) fn first_rows(node: &SortExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(fetch) = node.fetch().filter(|fetch| *fetch <= MOST) else { return Ok(None) };
    let projection = node.input().downcast_ref::<ProjectionExec>();
    let below = projection.map_or_else(|| node.input(), ProjectionExec::input);
    let Some(embed) = below.downcast_ref::<EmbedExec>() else { return Ok(None) };
    if embed.input().is::<SortExec>() {
        return Ok(None);
    }
    let column = |expr: &Arc<dyn PhysicalExpr>| {
        let index = expr.downcast_ref::<Column>()?.index();
        let index = match projection {
            Some(projection) => projection.expr().get(index)?.expr.downcast_ref::<Column>()?.index(),
            None => index,
        };
        let index = *embed.kept().get(index)?;
        let schema = embed.input().schema();
        Some(Arc::new(Column::new(schema.field(index).name(), index)) as Arc<dyn PhysicalExpr>)
    };
    let keys = node.expr().iter().map(|key| Some(PhysicalSortExpr::new(column(&key.expr)?, key.options)));
    let Some(keys) = keys.collect::<Option<Vec<_>>>().and_then(LexOrdering::new) else { return Ok(None) };
    let first = SortExec::new(keys, Arc::clone(embed.input())).with_fetch(Some(fetch));
    let mut plan: Arc<dyn ExecutionPlan> = Arc::new(embed.over(Arc::new(first))?);
    if projection.is_some() {
        plan = replace_children_if_necessary(Arc::clone(node.input()), vec![plan])?;
    }
    // The order is there already, and the rule that looks for sorts without use takes this one away.
    let node: Arc<dyn ExecutionPlan> = Arc::new(node.clone());
    replace_children_if_necessary(node, vec![plan]).map(Some)
}
