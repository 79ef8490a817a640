//! The optimizer rule that makes calls ready to travel: it decides which model each call of `embed_image` means, and lets the other
//! functions carry the fields of their calls.
//!
//! What is left of a call of `embed_image` is the image: its other arguments are part of the model, and one that is a secret must not
//! travel.

use std::sync::Arc;

use arrow_schema::FieldRef;
use datafusion::{
    common::{
        DFSchema,
        tree_node::{Transformed, TreeNode},
    },
    error::Result as PlanResult,
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarUDF, expr::ScalarFunction,
        expr_rewriter::NamePreserver, utils::merge_schema,
    },
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};
use imbed_core::{Error, ErrorKind, Result, options::Dtype};

use crate::{
    bound,
    carried::Carried,
    error::wrap,
    functions::{self, EmbedImage},
    literals::constants,
};

use super::lift::lifted;

/// Replaces each known call by one that is bound to its model.
#[derive(Debug)]
pub(crate) struct BindRule {
    /// The functions whose calls are known, as registered and as they are.
    functions: Vec<(ScalarUDF, EmbedImage)>,
}

impl BindRule {
    pub(crate) fn new(functions: Vec<(ScalarUDF, EmbedImage)>) -> Self {
        Self { functions }
    }

    /// `call` bound to its model, if it is one of `embed_image`, or with its fields over columns of `schema`.
    fn bind(&self, call: ScalarFunction, schema: &DFSchema) -> PlanResult<Transformed<Expr>> {
        if functions::is_scalar(&call.func) {
            return carry(call, schema);
        }
        let known = self.functions.iter().find(|(udf, _)| udf == call.func.as_ref());
        let Some((_, function)) = known else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
        let scalars = constants(&call.args);
        function.arguments(&scalars).and_then(|named| refuse_secrets(&named)).map_err(wrap)?;
        let model = function.model(&scalars).map_err(wrap)?;
        refuse_auto(model.descriptor.options().dtype).map_err(wrap)?;
        let image = call.args.into_iter().take(1).collect();
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(bound::function(&model), image))))
    }
}

impl OptimizerRule for BindRule {
    fn name(&self) -> &'static str {
        "imbed_bind"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> PlanResult<Transformed<LogicalPlan>> {
        let names = NamePreserver::new(&plan);
        let inputs = plan.inputs();
        let schema = if inputs.is_empty() { plan.schema().as_ref().clone() } else { merge_schema(&inputs) };
        let bound = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let bound = expr.transform_up(|expr| match expr {
                Expr::ScalarFunction(call) => self.bind(call, &schema),
                other => Ok(Transformed::no(other)),
            })?;
            Ok(if bound.transformed { bound.update_data(|expr| name.restore(expr)) } else { bound })
        })?;
        bound.transform_data(lifted)
    }
}

/// `call` of a function that carries the fields of this call, if they say more than their types.
fn carry(mut call: ScalarFunction, schema: &DFSchema) -> PlanResult<Transformed<Expr>> {
    if functions::carried(&call.func).is_some() {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    }
    let fields: PlanResult<Vec<FieldRef>> =
        call.args.iter().map(|arg| arg.to_field(schema).map(|(_, field)| field)).collect();
    // A condition of a scan is about columns that the plan does not have, and about what is known of files.
    let Ok(arguments) = fields else { return Ok(Transformed::no(Expr::ScalarFunction(call))) };
    let scalars = constants(&call.args);
    let result =
        call.func.return_field_from_args(ReturnFieldArgs { arg_fields: &arguments, scalar_arguments: &scalars })?;
    let carried = Carried { arguments, result };
    let function = carried.is_needed().then(|| functions::carrying(call.func.name(), Arc::new(carried))).flatten();
    let changed = function.is_some();
    if let Some(function) = function {
        call.func = Arc::new(function);
    }
    let call = Expr::ScalarFunction(call);
    Ok(if changed { Transformed::yes(call) } else { Transformed::no(call) })
}

/// An error if the number type is left to whoever loads the model.
fn refuse_auto(dtype: Option<Dtype>) -> Result<()> {
    if dtype != Some(Dtype::Auto) {
        return Ok(());
    }
    let message = "dtype 'auto' cannot be chosen on a cluster: each executor would choose for itself";
    Err(Error::new(ErrorKind::BadOption, message).hint("name a number type, such as bf16"))
}

/// An error if one of these arguments is a secret: it would be part of the column's name, and no executor would have it.
fn refuse_secrets(named: &[String]) -> Result<()> {
    let secret = |name: &&String| {
        let name = name.to_ascii_lowercase();
        ["key", "token", "password", "secret"].iter().any(|word| name == *word || name.ends_with(&format!("_{word}")))
    };
    let Some(name) = named.iter().find(secret) else { return Ok(()) };
    let what = format!("the argument {name} of embed_image is a secret, and secrets do not travel to a cluster");
    Err(Error::new(ErrorKind::BadOption, what)
        .hint("set it in the environment of each executor; api_key_env names the variable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_secrets_and_the_names_of_variables_are_not() {
        for secret in ["api_key", "token", "AUTH_TOKEN", "password"] {
            assert!(refuse_secrets(&["model".to_owned(), secret.to_owned()]).is_err(), "{secret}");
        }
        for harmless in ["api_key_env", "model", "monkey", "tokens_per_minute"] {
            assert!(refuse_secrets(&[harmless.to_owned()]).is_ok(), "{harmless}");
        }
    }
}
