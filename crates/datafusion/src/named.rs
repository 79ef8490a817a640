//! Arguments by name with gaps between them.
//!
//! DataFusion takes `f(a, c => 1)` only if nothing is missing before `c`. Here the gaps are filled with `NULL`, which all functions
//! of this crate take for an argument that was left out.

use std::ops::ControlFlow;

use datafusion::{
    execution::SessionState,
    sql::{
        parser::Statement,
        sqlparser::ast::{
            Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArguments, Ident, Value,
            VisitorMut,
        },
    },
};

use crate::statements::visit;

/// Fills the gaps in the calls of all functions whose parameters have names and whose arguments are named.
pub(crate) fn fill_named_arguments(statement: &mut Statement, state: &SessionState) {
    visit(statement, &mut Fill(state));
}

struct Fill<'a>(&'a SessionState);

impl VisitorMut for Fill<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            fill_call(function, self.0);
        }
        ControlFlow::Continue(())
    }
}

fn fill_call(function: &mut Function, state: &SessionState) {
    let [part] = function.name.0.as_slice() else { return };
    let Some(name) = part.as_ident().map(|ident| ident.value.to_ascii_lowercase()) else { return };
    // Only ours: elsewhere NULL may mean something else than nothing.
    if !crate::is_ours(&name) {
        return;
    }
    let Some(udf) = state.scalar_functions().get(&name) else { return };
    let (Some(parameters), FunctionArguments::List(list)) = (&udf.signature().parameter_names, &mut function.args)
    else {
        return;
    };
    let named: Vec<String> = list.args.iter().filter_map(|arg| argument_name(arg)).collect();
    let positional = list.args.len() - named.len();
    let place = |name: &String| parameters.iter().position(|p| p.eq_ignore_ascii_case(name));
    let Some(last) = named.iter().filter_map(place).max() else { return };
    for parameter in parameters.iter().take(last).skip(positional) {
        if !named.iter().any(|name| name.eq_ignore_ascii_case(parameter)) {
            list.args.push(FunctionArg::Named {
                name: Ident::new(parameter.clone()),
                arg: FunctionArgExpr::Expr(Expr::Value(Value::Null.into())),
                operator: FunctionArgOperator::RightArrow,
            });
        }
    }
}

fn argument_name(argument: &FunctionArg) -> Option<String> {
    match argument {
        FunctionArg::Named { name, .. } => Some(name.value.clone()),
        FunctionArg::ExprNamed { name: Expr::Identifier(name), .. } => Some(name.value.clone()),
        FunctionArg::ExprNamed { .. } | FunctionArg::Unnamed(_) => None,
    }
}
