//! Reading the parts of a model from the tensors under one name.

use imbed_core::Result;

use crate::{
    Array,
    model::{Block, Conv, Linear, Mlp, Norm, Stem},
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

    /// The blocks `LAYERS.0`, `LAYERS.1`, … of a checkpoint, each by `read`, which sees the names below its number.
    pub(super) fn blocks(
        checkpoint: &mut Checkpoint,
        layers: &str,
        count: usize,
        mut read: impl FnMut(&mut Reader<'_>) -> Result<Block>,
    ) -> Result<Vec<Block>> {
        (0..count).map(|i| read(&mut Reader::new(checkpoint, format!("{layers}.{i}.")))).collect()
    }

    /// Whether there is a tensor `name`.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.checkpoint.contains(&format!("{}{name}", self.prefix))
    }

    /// The tensor `name`, which must have the shape `stored`, seen as `shape`.
    pub(super) fn tensor(&mut self, name: &str, stored: &[usize], shape: &[usize]) -> Result<Array> {
        let name = format!("{}{name}", self.prefix);
        self.checkpoint.take(&name, stored)?.reshaped(shape).map_err(|e| e.context(format_args!("tensor '{name}'")))
    }

    /// `name.weight` and `name.bias` of a layer norm over `width` numbers.
    pub(super) fn norm(&mut self, name: &str, width: usize) -> Result<Norm> {
        let weight = self.vector(&format!("{name}.weight"), width)?;
        Ok(Norm { weight, bias: Some(self.vector(&format!("{name}.bias"), width)?) })
    }

    /// `name.weight` of a norm by the root mean square over `width` numbers.
    pub(super) fn rms_norm(&mut self, name: &str, width: usize) -> Result<Norm> {
        Ok(Norm { weight: self.vector(&format!("{name}.weight"), width)?, bias: None })
    }

    /// `name.weight`, `[to, from]`, and, if it has one, `name.bias`.
    pub(super) fn linear(&mut self, name: &str, to: usize, from: usize, bias: bool) -> Result<Linear> {
        let weight = self.tensor(&format!("{name}.weight"), &[to, from], &[to, from])?;
        let bias = if bias { Some(self.vector(&format!("{name}.bias"), to)?) } else { None };
        Ok(Linear { weight, bias })
    }

    /// Products of the names `parts`, each `[to, from]`, one below the other; a part says whether it has a bias.
    pub(super) fn stacked(&mut self, parts: &[(&str, bool)], to: usize, from: usize) -> Result<Linear> {
        let biased = parts.iter().any(|(_, bias)| *bias);
        let mut all = Linear { weight: Array::zeros(vec![0, from]), bias: biased.then(|| Array::zeros(vec![0])) };
        for (name, bias) in parts {
            let part = self.linear(name, to, from, *bias)?;
            all.weight = all.weight.above(part.weight)?;
            if let Some(above) = all.bias {
                all.bias = Some(above.above(part.bias.unwrap_or_else(|| Array::zeros(vec![to])))?);
            }
        }
        Ok(all)
    }

    /// A plain MLP of the products `fc1` and `fc2`.
    pub(super) fn mlp(&mut self, [fc1, fc2]: [&str; 2], middle: usize, hidden: usize, bias: bool) -> Result<Mlp> {
        Ok(Mlp { fc1: self.linear(fc1, middle, hidden, bias)?, fc2: self.linear(fc2, hidden, middle, bias)? })
    }

    /// A gated MLP of the products `gate`, `up` and `down`.
    pub(super) fn gated_mlp(
        &mut self,
        [gate, up, down]: [&str; 3],
        middle: usize,
        hidden: usize,
        bias: bool,
    ) -> Result<Mlp> {
        let fc1 = self.stacked(&[(gate, bias), (up, bias)], middle, hidden)?;
        Ok(Mlp { fc1, fc2: self.linear(down, hidden, middle, bias)? })
    }

    /// The patch product stored as a convolution, `[hidden, 3, height, width]`.
    pub(super) fn patches(
        &mut self,
        name: &str,
        hidden: usize,
        (height, width): (usize, usize),
        bias: bool,
    ) -> Result<Stem> {
        let (stored, flat) = ([hidden, 3, height, width], [hidden, 3 * height * width]);
        let weight = self.tensor(&format!("{name}.weight"), &stored, &flat)?;
        let bias = if bias { Some(self.vector(&format!("{name}.bias"), hidden)?) } else { None };
        Ok(Stem::Patches(Linear { weight, bias }))
    }

    /// `name.weight`, `[to, from, 3, 3]`, and `name.bias`.
    pub(super) fn conv(&mut self, name: &str, to: usize, from: usize) -> Result<Conv> {
        let shape = [to, from, 3, 3];
        let weight = self.tensor(&format!("{name}.weight"), &shape, &shape)?;
        Ok(Conv { weight, bias: self.vector(&format!("{name}.bias"), to)? })
    }

    /// The tensor `name`, `[width]`.
    pub(super) fn vector(&mut self, name: &str, width: usize) -> Result<Array> {
        self.tensor(name, &[width], &[width])
    }
}

/// The product with each of its numbers multiplied by that of `scale`: a layer scale joins the product before it.
pub(super) fn scaled(linear: Linear, scale: &Array) -> Result<Linear> {
    let bias = linear.bias.map(|bias| bias.scaled_rows(scale)).transpose()?;
    Ok(Linear { weight: linear.weight.scaled_rows(scale)?, bias })
}
