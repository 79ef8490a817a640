//! Every part of a statement that a rewriting looks at, whatever the statement is wrapped in.

use std::ops::ControlFlow;

use datafusion::sql::{
    parser::{CopyToSource, Statement},
    sqlparser::ast::{VisitMut, VisitorMut},
};

/// Shows `visitor` the queries in `statement`.
pub(crate) fn visit(statement: &mut Statement, visitor: &mut impl VisitorMut<Break = ()>) {
    // No visitor of ours stops before the end.
    let _: ControlFlow<()> = match statement {
        Statement::Statement(statement) => statement.visit(visitor),
        Statement::Explain(explain) => {
            visit(&mut explain.statement, visitor);
            ControlFlow::Continue(())
        }
        Statement::CopyTo(copy) => match &mut copy.source {
            CopyToSource::Query(query) => query.visit(visitor),
            CopyToSource::Relation(_) => ControlFlow::Continue(()),
        },
        Statement::CreateExternalTable(_) | Statement::Reset(_) => ControlFlow::Continue(()),
    };
}
