//! Conditions that are checked before a file is opened.

use std::sync::Arc;

use arrow_array::{Array, BooleanArray, RecordBatch, cast::AsArray};
use datafusion::{
    catalog::Session,
    common::{DFSchema, exec_datafusion_err},
    error::Result,
    logical_expr::{Expr, utils::conjunction},
    physical_expr::PhysicalExpr,
};

use super::{Column, LISTED};

/// Whether a condition is about what a listing tells alone.
pub(super) fn is_listed(filter: &Expr) -> bool {
    let listed = |name: &str| Column::ALL.into_iter().any(|c| c.is_listed() && c.name() == name);
    !filter.is_volatile() && filter.column_refs().iter().all(|column| listed(column.name()))
}

/// The conditions as one expression over the listed columns.
pub(super) fn plan(state: &dyn Session, filters: &[Expr]) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let Some(all) = conjunction(filters.to_vec()) else { return Ok(None) };
    let schema = DFSchema::try_from(Arc::clone(&LISTED))?;
    state.create_physical_expr(all, &schema).map(Some)
}

/// Which rows of `listed` meet the condition.
pub(super) fn matching(filter: &Arc<dyn PhysicalExpr>, listed: &RecordBatch) -> Result<BooleanArray> {
    let array = filter.evaluate(listed)?.into_array(listed.num_rows())?;
    array
        .as_boolean_opt()
        .cloned()
        .ok_or_else(|| exec_datafusion_err!("a condition on files gave {}", array.data_type()))
}
