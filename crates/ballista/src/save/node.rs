//! Writing parts, as a logical plan has it.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, LazyLock},
};

use datafusion::{
    common::{DFSchema, DFSchemaRef, internal_datafusion_err, internal_err},
    error::Result,
    logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore},
};

use super::{Parts, SUMMARY};

static SCHEMA: LazyLock<DFSchemaRef> =
    LazyLock::new(|| Arc::new(DFSchema::try_from(Arc::clone(&SUMMARY)).unwrap_or_else(|_| DFSchema::empty())));

/// Writes its input as parts.
#[derive(Debug, Clone)]
pub(crate) struct SaveParts {
    input: LogicalPlan,
    parts: Parts,
}

impl SaveParts {
    pub(crate) fn new(input: LogicalPlan, parts: Parts) -> Self {
        Self { input, parts }
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What is sent of it, without its input.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(&self.parts).map_err(|e| internal_datafusion_err!("{e}"))
    }

    pub(crate) fn decode(bytes: &[u8], inputs: &[LogicalPlan]) -> Result<Self> {
        let [input] = inputs else { return internal_err!("parts are written of one table, not {}", inputs.len()) };
        let parts = serde_json::from_slice(bytes).map_err(|e| internal_datafusion_err!("{e}"))?;
        Ok(Self::new(input.clone(), parts))
    }
}

impl UserDefinedLogicalNodeCore for SaveParts {
    fn name(&self) -> &'static str {
        "SaveParts"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &SCHEMA
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SaveParts: {}", self.parts.shown())
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        if inputs.len() != 1 {
            return internal_err!("parts are written of one table, not {}", inputs.len());
        }
        Ok(Self::new(inputs.swap_remove(0), self.parts.clone()))
    }

    /// All columns are written.
    fn necessary_children_exprs(&self, _: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }
}

impl PartialEq for SaveParts {
    fn eq(&self, other: &Self) -> bool {
        (&self.input, &self.parts) == (&other.input, &other.parts)
    }
}

impl Eq for SaveParts {}

impl PartialOrd for SaveParts {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.input, &self.parts).partial_cmp(&(&other.input, &other.parts))
    }
}

impl Hash for SaveParts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.input, &self.parts).hash(state);
    }
}
