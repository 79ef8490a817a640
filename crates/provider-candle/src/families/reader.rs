//! Reading the parts of a model from the tensors under one name.

use candle_core::Tensor;
use imbed_core::{Error, ErrorKind, Result};

use crate::{
    model::{Conv, Linear, Norm},
    weights::Checkpoint,
};

/// The tensors of a checkpoint whose names start with a prefix.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    checkpoint: &'a mut Checkpoint,
    prefix: String,
}

impl<'a> Reader<'a> {
    /// Reads names that `prefix` precedes, its last dot included.
    pub(super) fn new(checkpoint: &'a mut Checkpoint, prefix: impl Into<String>) -> Self {
        Self { checkpoint, prefix: prefix.into() }
    }

    /// The tensor `name`, which must have the shape `stored`, seen as `shape`.
    pub(super) fn tensor(&mut self, name: &str, stored: &[usize], shape: &[usize]) -> Result<Tensor> {
        let tensor = self.checkpoint.take(&format!("{}{name}", self.prefix), stored)?;
        tensor.reshape(shape).map_err(|e| Error::new(ErrorKind::Model, format!("tensor '{name}': {e}")))
    }

    /// `name.weight` and `name.bias` of a layer norm over `width` numbers.
    pub(super) fn norm(&mut self, name: &str, width: usize) -> Result<Norm> {
        let weight = self.vector(&format!("{name}.weight"), width)?;
        Ok(Norm { weight, bias: self.vector(&format!("{name}.bias"), width)? })
    }

    /// `name.weight`, `[to, from]`, and, if it has one, `name.bias`.
    pub(super) fn linear(&mut self, name: &str, to: usize, from: usize, bias: bool) -> Result<Linear> {
        let weight = self.tensor(&format!("{name}.weight"), &[to, from], &[to, from])?;
        let bias = if bias { Some(self.vector(&format!("{name}.bias"), to)?) } else { None };
        Ok(Linear { weight, bias })
    }

    /// Three square products of the names `parts`, one below the other: queries, keys, values.
    pub(super) fn stacked(&mut self, parts: [&str; 3], width: usize, bias: bool) -> Result<Linear> {
        let [q, k, v] = parts;
        let parts = [
            self.linear(q, width, width, bias)?,
            self.linear(k, width, width, bias)?,
            self.linear(v, width, width, bias)?,
        ];
        let cat = |tensors: Vec<&Tensor>| {
            Tensor::cat(&tensors, 0).map_err(|e| Error::new(ErrorKind::Model, format!("tensors of '{q}': {e}")))
        };
        let weight = cat(parts.iter().map(|part| &part.weight).collect())?;
        let biases: Vec<&Tensor> = parts.iter().filter_map(|part| part.bias.as_ref()).collect();
        Ok(Linear { weight, bias: if biases.is_empty() { None } else { Some(cat(biases)?) } })
    }

    /// `name.weight`, `[to, from, 3, 3]`, and `name.bias`.
    pub(super) fn conv(&mut self, name: &str, to: usize, from: usize) -> Result<Conv> {
        let shape = [to, from, 3, 3];
        let weight = self.tensor(&format!("{name}.weight"), &shape, &shape)?;
        Ok(Conv { weight, bias: self.vector(&format!("{name}.bias"), to)? })
    }

    /// The tensor `name`, `[width]`.
    pub(super) fn vector(&mut self, name: &str, width: usize) -> Result<Tensor> {
        self.tensor(name, &[width], &[width])
    }
}
