//! Attention pooling: a learnt query reads all tokens of an image.
//!
//! The query is the same for every image, so no token needs a key or a value of its own. With the keys' weights taken
//! into the query, a score is one product with the token; and the values' weights are applied once, to the weighted mean
//! of the tokens. That is two products of `heads` rows per image in place of two square ones per token.

use pulp::Arch;
use rayon::prelude::*;

use super::{
    attention::softmax,
    linear::{Linear, Mlp, add},
    norm::Norm,
    product::{Matrix, Output, Threads, multiply},
};

/// What a learnt query does with the tokens.
#[derive(Debug)]
pub(super) struct AttentionPool {
    pub(super) heads: usize,
    pub(super) hidden: usize,
    /// Each head's query through the weights of its keys, scaled, `[heads, hidden]`.
    pub(super) queries: Vec<f32>,
    /// The weights of the values, `[hidden, hidden]`, input first; their bias is in that of `out`.
    pub(super) values: Vec<f32>,
    pub(super) out: Linear,
    /// What is added to the answer.
    pub(super) mlp: Option<(Norm, Mlp)>,
}

impl AttentionPool {
    /// The queries for [`queries`](Self::queries): `query`, `[hidden]`, and the weights of the keys, `[hidden, hidden]`,
    /// output first.
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

    /// One vector per image of `x`, `[images, tokens, hidden]`, to `pooled`, `[images, hidden]`. `buffer` and `spare` grow
    /// if they must.
    pub(super) fn apply(
        &self,
        x: &[f32],
        tokens: usize,
        buffer: &mut Vec<f32>,
        spare: &mut Vec<f32>,
        pooled: &mut [f32],
    ) {
        let hidden = self.hidden;
        let answers = super::workspace::sized(spare, pooled.len());
        let images = x.par_chunks_exact(tokens * hidden).zip(answers.par_chunks_exact_mut(hidden));
        images.for_each_init(
            || Scratch::new(self, tokens),
            |scratch, (x, answer)| self.image(x, tokens, scratch, answer),
        );
        self.out.apply(answers, hidden, pooled, Output::Write);
        pooled.chunks_exact_mut(hidden).for_each(|row| add(row, &self.out.bias));
        if let Some((norm, mlp)) = &self.mlp {
            norm.apply(pooled, None, answers);
            mlp.add(answers, hidden, buffer, pooled);
            pooled.chunks_exact_mut(hidden).for_each(|row| add(row, &mlp.fc2.bias));
        }
    }

    fn image(&self, x: &[f32], tokens: usize, scratch: &mut Scratch, answer: &mut [f32]) {
        let (heads, hidden) = (self.heads, self.hidden);
        let size = hidden / heads;
        let x = Matrix::new(x, tokens, hidden, hidden);
        let queries = Matrix::new(&self.queries, heads, hidden, hidden);
        multiply(queries, x.transposed(), &mut scratch.scores, tokens, Output::Write, Threads::One);
        Arch::new().dispatch(
            #[inline(always)]
            || scratch.scores.chunks_exact_mut(tokens).for_each(softmax),
        );
        let weights = Matrix::new(&scratch.scores, heads, tokens, tokens);
        multiply(weights, x, &mut scratch.means, hidden, Output::Write, Threads::One);
        for head in 0..heads {
            let mean = Matrix::new(&scratch.means[head * hidden..], 1, hidden, hidden);
            let values = Matrix::new(&self.values[head * size..], hidden, size, hidden);
            multiply(mean, values, &mut answer[head * size..], hidden, Output::Write, Threads::One);
        }
    }
}

/// What one image needs besides input and output.
struct Scratch {
    /// `[heads, tokens]`.
    scores: Vec<f32>,
    /// The weighted mean of the tokens, `[heads, hidden]`.
    means: Vec<f32>,
}

impl Scratch {
    fn new(pool: &AttentionPool, tokens: usize) -> Self {
        Self { scores: vec![0.0; pool.heads * tokens], means: vec![0.0; pool.heads * pool.hidden] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_head_reads_the_token_that_its_query_matches() {
        // Two heads of one number each; keys and values are the tokens themselves.
        let identity = vec![1.0, 0.0, 0.0, 1.0];
        let queries = AttentionPool::queries(&[40.0, -40.0], &identity, 2);
        assert_eq!(queries, [40.0, 0.0, 0.0, -40.0]);
        let out = Linear { weight: identity.clone(), to: 2, bias: vec![0.5, 0.0] };
        let pool = AttentionPool { heads: 2, hidden: 2, queries, values: identity, out, mlp: None };
        let x = [0.0, 1.0, 3.0, 2.0, 1.0, -4.0];
        let mut pooled = [0.0; 2];
        pool.apply(&x, 3, &mut vec![], &mut vec![], &mut pooled);
        assert_eq!(pooled, [3.5, -4.0]);
    }
}
