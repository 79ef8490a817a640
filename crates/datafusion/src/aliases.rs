//! Conditions on what a query computes, by the name that it gives it: `SELECT cosine_similarity(a, b) AS s … WHERE s > 0.9`.
//!
//! DataFusion knows such names in `ORDER BY` only. Here what stands behind the name takes its place, where no column has the name.

use std::{collections::HashSet, ops::ControlFlow};

use datafusion::{
    common::SchemaError,
    error::{DataFusionError, Result},
    execution::SessionState,
    logical_expr::LogicalPlan,
    sql::{
        parser::Statement,
        sqlparser::ast::{Expr, Ident, Select, SelectItem, VisitorMut, visit_expressions_mut},
    },
};

use crate::statements::visit;

/// The plan of `statement`, in whose conditions columns win over names of results.
pub(crate) async fn plan(mut statement: Statement, state: &SessionState) -> Result<LogicalPlan> {
    let mut tried = HashSet::new();
    loop {
        let planned = state.statement_to_plan(statement.clone()).await;
        let missing = planned.as_ref().err().and_then(missing).filter(|name| tried.insert(name.clone()));
        let Some(name) = missing else { return planned };
        let mut inline = Inline { name, found: false };
        visit(&mut statement, &mut inline);
        if !inline.found {
            return planned;
        }
    }
}

/// The column that was not found.
fn missing(error: &DataFusionError) -> Option<String> {
    match error.find_root() {
        DataFusionError::SchemaError(error, _) => match error.as_ref() {
            SchemaError::FieldNotFound { field, .. } if field.relation.is_none() => Some(field.name.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Puts what `name` stands for into the conditions of the queries that give something this name.
struct Inline {
    name: String,
    found: bool,
}

impl VisitorMut for Inline {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let named = select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if normal(alias) == self.name => Some(expr.clone()),
            _ => None,
        });
        if let (Some(named), Some(condition)) = (named, &mut select.selection) {
            let _ = visit_expressions_mut(condition, |expr| {
                if matches!(expr, Expr::Identifier(ident) if normal(ident) == self.name) {
                    *expr = Expr::Nested(Box::new(named.clone()));
                    self.found = true;
                }
                ControlFlow::<()>::Continue(())
            });
        }
        ControlFlow::Continue(())
    }
}

/// A name as columns have it.
fn normal(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use arrow_array::{cast::AsArray, types::Int64Type};
    use datafusion::prelude::SessionContext;

    use crate::{ImageContext, cause};

    async fn numbers(query: &str) -> Vec<i64> {
        let context = SessionContext::new();
        context.sql("CREATE TABLE t AS VALUES (1, 10), (2, 20), (3, 30)").await.unwrap();
        let batches = context.image_sql(query).await.unwrap().collect().await.unwrap();
        batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[tokio::test]
    async fn conditions_may_name_results() {
        assert_eq!(numbers("SELECT column1 + column2 AS s FROM t WHERE s > 15 ORDER BY s DESC").await, [33, 22]);
        assert_eq!(
            numbers("SELECT column1 AS a, a2 FROM (SELECT column1, column1 * 2 AS a2 FROM t WHERE a2 > 2) WHERE A = 3")
                .await,
            [3]
        );
        let both = "SELECT -column1 AS x, column2 * 2 AS y FROM t WHERE x < -1 AND y < 50";
        assert_eq!(numbers(both).await, [-2]);
    }

    #[tokio::test]
    async fn columns_win() {
        assert_eq!(numbers("SELECT -column1 AS column2 FROM t WHERE column2 = 20").await, [-2]);
    }

    #[tokio::test]
    async fn what_is_not_there_is_still_named() {
        let context = SessionContext::new();
        for query in ["SELECT 1 AS a WHERE b > 0", "SELECT a + 1 AS a WHERE a > 0"] {
            let error = cause(&context.image_sql(query).await.unwrap_err());
            assert!(error.message().contains("No field named"), "{error}");
        }
    }
}
