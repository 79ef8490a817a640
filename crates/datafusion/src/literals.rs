//! The arguments of a call that are constants, by name.

use std::{fmt::Display, str::FromStr};

use datafusion::{
    logical_expr::{ColumnarValue, Expr},
    scalar::ScalarValue,
};
use imbed_core::{Error, ErrorKind, Result};

use crate::function::Parameter;

/// For each argument of a call in a logical plan: its value, or `None` if it is not a constant.
pub(crate) fn constants(arguments: &[Expr]) -> Vec<Option<&ScalarValue>> {
    fn constant(argument: &Expr) -> Option<&ScalarValue> {
        match argument {
            Expr::Literal(value, _) => Some(value),
            _ => None,
        }
    }
    arguments.iter().map(constant).collect()
}

/// The same for a call with the rows of one batch.
pub(crate) fn scalars(arguments: &[ColumnarValue]) -> Vec<Option<&ScalarValue>> {
    fn scalar(argument: &ColumnarValue) -> Option<&ScalarValue> {
        match argument {
            ColumnarValue::Scalar(scalar) => Some(scalar),
            ColumnarValue::Array(_) => None,
        }
    }
    arguments.iter().map(scalar).collect()
}

/// The constants of one call.
#[derive(Debug)]
pub(crate) struct Literals<'a> {
    function: &'static str,
    parameters: &'a [Parameter],
    /// For each argument that was given: its value, or `None` if it is not a constant.
    values: Vec<Option<&'a ScalarValue>>,
}

impl<'a> Literals<'a> {
    pub(crate) fn new(
        function: &'static str,
        parameters: &'a [Parameter],
        values: impl Iterator<Item = Option<&'a ScalarValue>>,
    ) -> Self {
        Self { function, parameters, values: values.collect() }
    }

    /// The constant `name`; `None` where it was left out or is `NULL`, an error where it differs from row to row.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&'a ScalarValue>> {
        let value = self.index(name).and_then(|index| self.values.get(index));
        match value {
            None => Ok(None),
            Some(None) => Err(self
                .wrong(name, "must be a constant, the same for all rows")
                .hint("write the value itself, such as 'RGB' or 288, and not a column")),
            Some(Some(value)) => Ok((!value.is_null()).then_some(*value)),
        }
    }

    /// Whether the argument `name` was left out, or is a constant.
    pub(crate) fn is_constant(&self, name: &str) -> bool {
        self.index(name).and_then(|index| self.values.get(index)).is_none_or(Option::is_some)
    }

    /// The constant `name` as text, whatever its type.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>> {
        Ok(self.get(name)?.map(|value| match value.try_as_str() {
            Some(Some(text)) => text.to_owned(),
            _ => value.to_string(),
        }))
    }

    /// The constant `name`, read from its text.
    pub(crate) fn parsed<T: FromStr<Err = Error>>(&self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|e: Error| e.context(format_args!("the argument {name} of {}", self.function)))
    }

    /// The constant `name` as a whole number.
    pub(crate) fn whole(&self, name: &str) -> Result<Option<u32>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let number = text
            .parse()
            .map_err(|_| self.wrong(name, format!("is {text}, which is not a whole number from 0 to {}", u32::MAX)))?;
        Ok(Some(number))
    }

    /// The constant `name` as a truth value.
    pub(crate) fn truth(&self, name: &str) -> Result<Option<bool>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match text.as_str() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(self.wrong(name, format!("is {text}")).hint("give true or false")),
        }
    }

    /// What `value` gives, or an error if there is nothing.
    pub(crate) fn required<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.wrong(name, "is missing or NULL"))
    }

    pub(crate) fn wrong(&self, name: &str, why: impl Display) -> Error {
        Error::new(ErrorKind::BadOption, format!("the argument {name} of {} {why}", self.function))
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.parameters.iter().position(|parameter| parameter.name == name)
    }
}
