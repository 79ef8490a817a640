//! What all scalar functions share: a [`Function`] says its name, its parameters, its result and its work, and [`Scalar`] makes of
//! it what DataFusion registers. Names, documentation and checks of arguments come from one table, so they cannot disagree.

use std::{
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
    sync::Arc,
};

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, FieldRef};
use datafusion::{
    common::{exec_err, plan_err},
    error::Result as PlanResult,
    logical_expr::{
        ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility, scalar_doc_sections::DOC_SECTION_OTHER,
    },
};
use imbed_core::{Error, ErrorKind, Result, arrow::kernels::RowErrors, options::OnError};

use crate::{
    carried::Carried,
    error::wrap,
    literals::{Literals, scalars},
};

/// One parameter of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// What it is, for the reference page.
    pub(crate) summary: &'static str,
    /// It may be left out.
    pub(crate) optional: bool,
}

impl Parameter {
    /// A parameter that every call gives.
    pub(crate) const fn required(name: &'static str, summary: &'static str) -> Self {
        Self { name, summary, optional: false }
    }

    /// A parameter that may be left out, or be `NULL`, which is the same.
    pub(crate) const fn optional(name: &'static str, summary: &'static str) -> Self {
        Self { name, summary, optional: true }
    }
}

/// What a row that cannot be worked on does, as a parameter.
pub(crate) const ON_ERROR: Parameter = Parameter::optional(
    "on_error",
    "what a row that fails does: `raise` stops the query, `log` makes it null and says so, `ignore` makes it null \
         (default `raise`)",
);

/// A scalar function of this crate.
pub(crate) trait Function: fmt::Debug + Send + Sync + 'static {
    /// Its name in SQL.
    const NAME: &'static str;
    /// What it does, in Markdown.
    const SUMMARY: &'static str;
    /// Its parameters in order; those that may be left out come last.
    const PARAMETERS: &'static [Parameter];
    /// A query that shows it.
    const EXAMPLE: &'static str;

    /// The types that its arguments are cast to.
    fn coerce(types: &[DataType]) -> Vec<DataType> {
        types.to_vec()
    }

    /// Its result's type and metadata, before a row is seen.
    fn field(call: &Planned<'_>) -> Result<Field>;

    /// Its result for one batch, of the type that [`field`](Self::field) gave.
    fn run(call: &Running<'_>) -> Result<ArrayRef>;
}

/// A call that is being planned.
#[derive(Debug)]
pub(crate) struct Planned<'a> {
    /// The arguments that were given.
    pub(crate) fields: &'a [FieldRef],
    pub(crate) literals: Literals<'a>,
}

/// A call with the rows of one batch.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    args: &'a ScalarFunctionArgs,
    pub(crate) literals: Literals<'a>,
}

impl Running<'_> {
    /// The field of the result, as planned.
    pub(crate) fn return_field(&self) -> &Field {
        &self.args.return_field
    }

    /// The field of argument `index`.
    pub(crate) fn field(&self, index: usize) -> &Field {
        &self.args.arg_fields[index]
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.args.number_rows
    }

    /// Argument `index` with a value for each row.
    pub(crate) fn column(&self, index: usize) -> Result<ArrayRef> {
        self.args.args[index].to_array(self.args.number_rows).map_err(internal)
    }

    /// Argument `index`: an array with a value for each row, or one of length 1 that is meant for all.
    pub(crate) fn broadcast(&self, index: usize) -> Result<(ArrayRef, bool)> {
        match &self.args.args[index] {
            ColumnarValue::Array(array) => Ok((Arc::clone(array), false)),
            ColumnarValue::Scalar(scalar) => Ok((scalar.to_array_of_size(1).map_err(internal)?, true)),
        }
    }

    /// What becomes of rows that fail.
    pub(crate) fn on_error(&self) -> Result<OnError> {
        Ok(self.literals.parsed("on_error")?.unwrap_or_default())
    }
}

/// What a query can do about rows that fail.
pub const ON_ERROR_HINT: &str = "on_error => 'ignore' (or 'log') makes such rows null and goes on";

/// `error` of a row that stops a query, with what the query can do about it: it has no flag that raises a limit.
pub(crate) fn in_a_query(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Limit => {
            error.hint(format!("{ON_ERROR_HINT}; `imbed embed` can raise its limits for images that are to be trusted"))
        }
        _ if error.hint_text().is_none() => error.hint(ON_ERROR_HINT),
        _ => error,
    }
}

/// Tells of rows that failed, where that was asked for.
pub(crate) fn report(errors: &RowErrors, on_error: OnError) {
    if on_error == OnError::Log {
        for (row, error) in errors {
            tracing::warn!("row {row} of a batch: {}: {}", error.kind(), error.message());
        }
    }
}

#[allow(clippy::needless_pass_by_value)] // For `map_err`.
fn internal(error: datafusion::error::DataFusionError) -> Error {
    Error::new(ErrorKind::Internal, error.strip_backtrace())
}

/// A [`Function`] as DataFusion knows functions.
pub(crate) struct Scalar<F> {
    signature: Signature,
    documentation: Documentation,
    /// The fields of its one call, in a plan that is sent.
    carried: Option<Arc<Carried>>,
    function: PhantomData<F>,
}

impl<F: Function> Scalar<F> {
    /// `error` of a row, with what the query can do about it.
    fn told(error: Error) -> Error {
        if F::PARAMETERS.contains(&ON_ERROR) { in_a_query(error) } else { error }
    }

    pub(crate) fn udf() -> ScalarUDF {
        Self::carrying(None)
    }

    /// The function for a call with these fields.
    pub(crate) fn carrying(carried: Option<Arc<Carried>>) -> ScalarUDF {
        ScalarUDF::new_from_impl(Self {
            carried,
            signature: named(
                Signature::user_defined(Volatility::Immutable),
                F::PARAMETERS.iter().map(|parameter| parameter.name),
            ),
            documentation: documentation(F::NAME, F::SUMMARY, F::PARAMETERS, F::EXAMPLE),
            function: PhantomData,
        })
    }

    /// The fields of its one call.
    pub(crate) fn carried(&self) -> Option<&Arc<Carried>> {
        self.carried.as_ref()
    }
}

/// `signature` with names for its arguments, of which the last may be left out.
pub(crate) fn named<'a>(mut signature: Signature, names: impl Iterator<Item = &'a str>) -> Signature {
    signature.parameter_names = Some(names.map(str::to_owned).collect());
    signature
}

/// The documentation of a function.
pub(crate) fn documentation(name: &str, summary: &str, parameters: &[Parameter], example: &str) -> Documentation {
    let shown: Vec<String> =
        parameters.iter().map(|p| if p.optional { format!("[{} => …]", p.name) } else { p.name.to_owned() }).collect();
    let documentation = Documentation::builder(DOC_SECTION_OTHER, summary, format!("{name}({})", shown.join(", ")))
        .with_sql_example(format!("```sql\n{example}\n```"));
    parameters.iter().fold(documentation, |doc, p| doc.with_argument(p.name, p.summary)).build()
}

/// Checks how many arguments there are.
pub(crate) fn check_count(name: &str, given: usize, parameters: &[Parameter]) -> PlanResult<()> {
    let required = parameters.iter().filter(|p| !p.optional).count();
    if (required..=parameters.len()).contains(&given) {
        return Ok(());
    }
    let names: Vec<&str> = parameters.iter().map(|p| p.name).collect();
    plan_err!("{name} takes {required} to {} arguments ({}), and {given} were given", names.len(), names.join(", "))
}

impl<F: Function> ScalarUDFImpl for Scalar<F> {
    fn name(&self) -> &str {
        F::NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> PlanResult<Vec<DataType>> {
        check_count(F::NAME, types.len(), F::PARAMETERS)?;
        Ok(F::coerce(types))
    }

    fn return_type(&self, _: &[DataType]) -> PlanResult<DataType> {
        plan_err!("the type of {} depends on its arguments", F::NAME)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> PlanResult<FieldRef> {
        if let Some(carried) = &self.carried {
            return Ok(Arc::clone(&carried.result));
        }
        check_count(F::NAME, args.arg_fields.len(), F::PARAMETERS)?;
        let literals = Literals::new(F::NAME, F::PARAMETERS, args.scalar_arguments.iter().copied());
        let field = F::field(&Planned { fields: args.arg_fields, literals });
        field.map(Arc::new).map_err(|e| wrap(e.context(F::NAME)))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        if let Some(carried) = &self.carried {
            args.arg_fields.clone_from(&carried.arguments);
            args.return_field = Arc::clone(&carried.result);
        }
        let call =
            Running { literals: Literals::new(F::NAME, F::PARAMETERS, scalars(&args.args).into_iter()), args: &args };
        let result = F::run(&call).map_err(|e| wrap(Self::told(e).context(F::NAME)))?;
        if result.data_type() != args.return_field.data_type() {
            return exec_err!(
                "{} was planned as {} and gave {}",
                F::NAME,
                args.return_field.data_type(),
                result.data_type()
            );
        }
        Ok(ColumnarValue::Array(result))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

impl<F: Function> fmt::Debug for Scalar<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(F::NAME)
    }
}

// The functions have no other state: one is as good as another of its name.
impl<F> PartialEq for Scalar<F> {
    fn eq(&self, other: &Self) -> bool {
        self.carried == other.carried
    }
}

impl<F> Eq for Scalar<F> {}

impl<F: Function> Hash for Scalar<F> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        F::NAME.hash(state);
    }
}
