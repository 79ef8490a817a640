//! Attention pooling: a learnt query reads all tokens of an image.
//!
//! The query is the same for every image, so no token needs a key or a value of its own. With the keys' weights taken
//! into the query, a score is one product with the token; and the values' weights are applied once, to the weighted mean
//! of the tokens. That is two products of `heads` rows per image in place of two square ones per token.

use imbed_core::Result;
use imbed_kernels::{Activation, Cpu, Linear, Then, softmax};

use super::{
    fit,
    linear::{Mlp, apply},
    norm::Norm,
    threads::Threads,
    workspace::sized,
};

/// What a learnt query does with the tokens.
pub(super) struct AttentionPool {
    pub(super) cpu: Cpu,
    /// A token's score with each head's query, which has been through the weights of its keys and is scaled.
    pub(super) queries: Linear,
    /// The weights of each head's values; their bias is in that of `out`.
    pub(super) values: Vec<Linear>,
    pub(super) out: Linear,
    /// What is added to the answer.
    pub(super) mlp: Option<(Norm, Mlp)>,
}

/// The buffers of the pooling, which grow if they must.
pub(super) struct Buffers<'a> {
    pub(super) wide: &'a mut Vec<f32>,
    pub(super) spare: &'a mut Vec<f32>,
    pub(super) answers: &'a mut Vec<f32>,
    pub(super) threads: Threads,
}

impl AttentionPool {
    /// The weights of [`queries`](Self::queries), `[heads, hidden]`: `query`, `[hidden]`, and the weights of the keys,
    /// `[hidden, hidden]`, output first.
    pub(super) fn queries(query: &[f32], keys: &[f32], heads: usize) -> Vec<f32> {
        let hidden = query.len();
        let size = hidden / heads;
        let scale = 1.0 / (size as f64).sqrt();
        let mut queries = Vec::with_capacity(heads * hidden);
        for head in 0..heads {
            let own = head * size..(head + 1) * size;
            let number = |column: usize| {
                let product = own.clone().map(|row| f64::from(query[row]) * f64::from(keys[row * hidden + column]));
                (scale * product.sum::<f64>()) as f32
            };
            queries.extend((0..hidden).map(number));
        }
        queries
    }

    /// One vector per image of `x`, `[images, tokens, hidden]`, to `pooled`, `[images, hidden]`.
    pub(super) fn apply(&self, x: &[f32], tokens: usize, buffers: Buffers<'_>, pooled: &mut [f32]) -> Result<()> {
        let (hidden, heads) = (self.queries.inputs(), self.values.len());
        let images = x.len() / (tokens * hidden);
        let Buffers { wide, spare, answers, threads } = buffers;
        let scores = sized(spare, images * tokens * heads);
        apply(&self.queries, x, scores, Then::Activate(Activation::Identity), threads)?;
        // `[heads, images, hidden]`, so that each head's are the rows of its own product.
        let means = sized(wide, heads * images * hidden);
        let rows: Vec<usize> = (0..heads * images).collect();
        threads.parts((&rows, 1), (means, hidden), |rows, means| {
            for (row, mean) in rows.iter().zip(means.chunks_exact_mut(hidden)) {
                let (head, image) = (row / images, row % images);
                let mut shares: Vec<f32> =
                    (0..tokens).map(|token| scores[(image * tokens + token) * heads + head]).collect();
                softmax(self.cpu, &mut shares, tokens).map_err(fit)?;
                weigh(&x[image * tokens * hidden..][..tokens * hidden], &shares, mean);
            }
            Ok(())
        })?;
        let answers = sized(answers, images * hidden);
        for (head, (values, means)) in self.values.iter().zip(means.chunks_exact(images * hidden)).enumerate() {
            let size = values.outputs();
            let own = sized(spare, images * size);
            apply(values, means, own, Then::Activate(Activation::Identity), threads)?;
            for (own, answer) in own.chunks_exact(size).zip(answers.chunks_exact_mut(hidden)) {
                answer[head * size..][..size].copy_from_slice(own);
            }
        }
        apply(&self.out, answers, pooled, Then::Activate(Activation::Identity), threads)?;
        if let Some((norm, mlp)) = &self.mlp {
            norm.apply(pooled, answers, threads)?;
            mlp.add(answers, wide, spare, pooled, threads)?;
        }
        Ok(())
    }
}

/// The sum of the rows of `x`, each times its share.
fn weigh(x: &[f32], shares: &[f32], sum: &mut [f32]) {
    sum.fill(0.0);
    for (x, share) in x.chunks_exact(sum.len()).zip(shares) {
        sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += share * x);
    }
}

#[cfg(test)]
mod tests {
    use imbed_kernels::Precision;

    use super::*;

    #[test]
    fn each_head_reads_the_token_that_its_query_matches() {
        // Two heads of one number each; keys and values are the tokens themselves.
        let identity = vec![1.0, 0.0, 0.0, 1.0];
        let queries = AttentionPool::queries(&[40.0, -40.0], &identity, 2);
        assert_eq!(queries, [40.0, 0.0, 0.0, -40.0]);
        let cpu = Cpu::detect().unwrap();
        let linear = |weights: &[f32], bias| Linear::pack(cpu, Precision::F32, weights, 2, bias).unwrap();
        let pool = AttentionPool {
            cpu,
            queries: linear(&queries, None),
            values: vec![linear(&[1.0, 0.0], None), linear(&[0.0, 1.0], None)],
            out: linear(&identity, Some(&[0.5, 0.0])),
            mlp: None,
        };
        let x = [0.0, 1.0, 3.0, 2.0, 1.0, -4.0];
        let x = [x, x.map(|x| 2.0 * x)].concat();
        let mut pooled = [0.0; 4];
        let (mut wide, mut spare, mut answers) = (vec![], vec![], vec![]);
        let buffers = Buffers { wide: &mut wide, spare: &mut spare, answers: &mut answers, threads: Threads::All };
        pool.apply(&x, 3, buffers, &mut pooled).unwrap();
        assert_eq!(pooled, [3.5, -4.0, 6.5, -8.0]);
    }
}
