//! From a model as data to the layout that the kernels want.

use imbed_core::{Error, ErrorKind, Result, preprocess::Normalize};
use imbed_kernels::{Activation, Cpu, Linear, Precision, fold_normalisation};
use imbed_vision::{self as vision, Architecture, Array, architecture::MlpKind, model};

use super::{
    fit,
    linear::Mlp,
    norm::Norm,
    pool::AttentionPool,
    precision::Precisions,
    stem::{Conv, Stage},
    threads::Threads,
};

/// A transformer block.
pub(super) struct Block {
    pub(super) norm1: Norm,
    pub(super) qkv: Linear,
    /// Added to the scores, `[heads, tokens, tokens]`.
    pub(super) scores: Option<Vec<f32>>,
    pub(super) out: Linear,
    pub(super) norm2: Norm,
    pub(super) mlp: Mlp,
}

/// What decides how a model is laid out.
#[derive(Clone, Copy)]
pub(super) struct Layout<'a> {
    pub(super) cpu: Cpu,
    pub(super) precisions: Precisions,
    pub(super) shape: &'a Architecture,
}

impl Layout<'_> {
    pub(super) fn norm(self, norm: model::Norm) -> Norm {
        let weight = norm.weight.into_values();
        let bias = norm.bias.map_or_else(|| vec![0.0; weight.len()], Array::into_values);
        Norm { cpu: self.cpu, kind: self.shape.norm, weight, bias, eps: self.shape.norm_eps as f32 }
    }

    pub(super) fn block(self, block: model::Block) -> Result<Block> {
        let precision = self.precisions.block;
        Ok(Block {
            norm1: self.norm(block.norm1),
            qkv: self.linear(&block.qkv, precision)?,
            scores: block.scores.map(Array::into_values),
            out: self.linear(&block.out, precision)?,
            norm2: self.norm(block.norm2),
            mlp: self.mlp(&block.mlp, precision)?,
        })
    }

    /// A product of what comes after the blocks.
    pub(super) fn head(self, linear: &model::Linear) -> Result<Linear> {
        self.linear(linear, self.precisions.end)
    }

    fn linear(self, linear: &model::Linear, precision: Precision) -> Result<Linear> {
        let bias = linear.bias.as_ref().map(Array::values);
        self.pack(precision, linear.weight.values(), inputs(&linear.weight)?, bias)
    }

    fn pack(self, precision: Precision, weights: &[f32], inputs: usize, bias: Option<&[f32]>) -> Result<Linear> {
        Linear::pack_on(self.cpu, precision, weights, inputs, bias, &Threads::All).map_err(fit)
    }

    fn mlp(self, mlp: &model::Mlp, precision: Precision) -> Result<Mlp> {
        let (fc1, up) = match self.shape.mlp {
            MlpKind::Plain => (self.linear(&mlp.fc1, precision)?, None),
            MlpKind::Gated => {
                let inputs = inputs(&mlp.fc1.weight)?;
                let weights = mlp.fc1.weight.values();
                let (gate, up) = weights.split_at(weights.len() / 2);
                let bias = mlp.fc1.bias.as_ref().map(|bias| bias.values().split_at(bias.values().len() / 2));
                let gate = self.pack(precision, gate, inputs, bias.map(|(gate, _)| gate))?;
                (gate, Some(self.pack(precision, up, inputs, bias.map(|(_, up)| up))?))
            }
        };
        Ok(Mlp { activation: activation(self.shape.activation), fc1, up, fc2: self.linear(&mlp.fc2, precision)? })
    }

    /// The product of patches of bytes, normalised as `normalize` says.
    pub(super) fn patches(
        self,
        linear: &model::Linear,
        patch: (usize, usize),
        normalize: &Normalize,
    ) -> Result<Linear> {
        let precision = self.precisions.stem;
        // As the reference has them.
        let single = |numbers: [f64; 3]| numbers.map(|x| f64::from(x as f32));
        let (weights, bias) = fold_normalisation(
            precision,
            linear.weight.values(),
            patch,
            linear.bias.as_ref().map_or(&[], Array::values),
            normalize.scale,
            single(normalize.mean),
            single(normalize.std),
        )
        .map_err(fit)?;
        self.pack(precision, &weights, inputs(&linear.weight)?, Some(&bias))
    }

    pub(super) fn conv_stage(self, stage: &model::ConvStage) -> Result<Stage> {
        let pairs = stage.pairs.iter().map(|(first, second)| Ok((self.conv(first)?, self.conv(second)?)));
        Ok(Stage { down: self.conv(&stage.down)?, pairs: pairs.collect::<Result<_>>()? })
    }

    /// `[to, from, 3, 3]` on disk becomes `[to, 3, 3, from]`.
    fn conv(self, conv: &model::Conv) -> Result<Conv> {
        let [to, from, 3, 3] = *conv.weight.shape() else { return Err(unfit("a convolution is not 3 x 3")) };
        let on_disk = conv.weight.values();
        let mut weights = Vec::with_capacity(on_disk.len());
        for (to, place) in (0..to).flat_map(|to| (0..9).map(move |place| (to, place))) {
            weights.extend((0..from).map(|from_channel| on_disk[(to * from + from_channel) * 9 + place]));
        }
        Ok(Conv(self.pack(self.precisions.end, &weights, 9 * from, Some(conv.bias.values()))?))
    }

    pub(super) fn pool(self, pool: &model::AttentionPool) -> Result<AttentionPool> {
        let (heads, hidden) = (self.shape.heads, self.shape.hidden);
        let precision = self.precisions.end;
        let (keys, values) = pool.kv.weight.values().split_at(hidden * hidden);
        let query = match &pool.query_product {
            Some(product) => apply(product, pool.query.values()),
            None => pool.query.values().to_vec(),
        };
        let queries = AttentionPool::queries(&query, keys, heads);
        let mut bias = pool.out.bias.as_ref().map_or_else(|| vec![0.0; hidden], |bias| bias.values().to_vec());
        if let Some(of_values) = &pool.kv.bias {
            // The weights of an attention sum to one, so a bias on the values comes out of it as it went in, and can join
            // the next product's: `(a + b) W + c = a W + (b W + c)`. That of the keys would move all scores alike.
            let passed =
                apply(&model::Linear { weight: pool.out.weight.clone(), bias: None }, &of_values.values()[hidden..]);
            bias.iter_mut().zip(passed).for_each(|(bias, passed)| *bias += passed);
        }
        let mlp = pool.mlp.as_ref().map(|(norm, mlp)| {
            let norm = model::Norm { weight: norm.weight.clone(), bias: norm.bias.clone() };
            Ok((self.norm(norm), self.mlp(mlp, precision)?))
        });
        let values = values.chunks_exact(hidden / heads * hidden);
        Ok(AttentionPool {
            cpu: self.cpu,
            queries: self.pack(precision, &queries, hidden, None)?,
            values: values.map(|own| self.pack(precision, own, hidden, None)).collect::<Result<_>>()?,
            out: self.pack(precision, pool.out.weight.values(), hidden, Some(&bias))?,
            mlp: mlp.transpose()?,
        })
    }
}

/// The kernels' name of an activation.
pub(super) fn activation(activation: vision::Activation) -> Activation {
    match activation {
        vision::Activation::QuickGelu => Activation::QuickGelu,
        vision::Activation::Gelu => Activation::Gelu,
        vision::Activation::GeluTanh => Activation::GeluTanh,
        vision::Activation::Relu => Activation::Relu,
        vision::Activation::Silu => Activation::Silu,
        vision::Activation::Tanh => Activation::Tanh,
    }
}

/// The product of one row, in f64: once, when a model is laid out.
fn apply(linear: &model::Linear, x: &[f32]) -> Vec<f32> {
    let rows = linear.weight.values().chunks_exact(x.len());
    let bias = linear.bias.iter().flat_map(Array::values).copied().chain(std::iter::repeat(0.0));
    let sum = |row: &[f32]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>();
    rows.zip(bias).map(|(row, bias)| (sum(row) + f64::from(bias)) as f32).collect()
}

/// Of a weight `[out, in]`.
fn inputs(weight: &Array) -> Result<usize> {
    match *weight.shape() {
        [_, inputs] => Ok(inputs),
        _ => Err(unfit("a product's weight is no matrix")),
    }
}

fn unfit(what: &str) -> Error {
    Error::new(ErrorKind::Internal, format!("the weights cannot be laid out: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_multiplied_by_rows_of_weights() {
        let weight = Array::new(&[2, 3], vec![1.0, 2.0, 3.0, 0.0, 0.0, -1.0]).unwrap();
        let bias = Some(Array::new(&[2], vec![10.0, 20.0]).unwrap());
        assert_eq!(apply(&model::Linear { weight, bias }, &[1.0, 1.0, 2.0]), [19.0, 18.0]);
    }
}
