//! Multi-head self-attention, one image at a time.

use imbed_vision::Rotary;
use pulp::Arch;
use rayon::prelude::*;

use super::{
    exp::exp,
    product::{Matrix, Output, Threads, multiply},
    rows::{max, sum},
};

/// The sizes of one attention, and what is added to its queries and keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attention<'a> {
    /// Tokens per image.
    pub(super) tokens: usize,
    /// Numbers per token.
    pub(super) hidden: usize,
    /// Heads, which share `hidden` evenly.
    pub(super) heads: usize,
    /// How many of the first tokens ask: all, or the class token alone where nothing reads the others' answers.
    pub(super) queries: usize,
    /// Added to the queries, and then, where they are turned, to the keys: `[hidden]` each, the keys' after the queries',
    /// or empty. Keys that are not turned need none, since it would move all scores of a query alike, which softmax does
    /// not see. The values' passes through to the next product, whose bias holds it.
    pub(super) bias: &'a [f32],
    /// Added to the scores of each head, query and key, `[heads, tokens, tokens]`.
    pub(super) scores: Option<&'a [f32]>,
    /// How queries and keys are turned.
    pub(super) rotary: Option<&'a Rotary>,
}

impl Attention<'_> {
    /// `softmax(q k^T / sqrt(d)) v` per head.
    ///
    /// `qkv` is `[images, tokens, 3 * hidden]`, and `out` `[images, queries, hidden]`.
    pub(super) fn apply(self, qkv: &[f32], out: &mut [f32]) {
        let per_image = (self.tokens * 3 * self.hidden, self.queries * self.hidden);
        let images = qkv.par_chunks_exact(per_image.0).zip(out.par_chunks_exact_mut(per_image.1));
        images.for_each_init(|| Scratch::new(self), |scratch, (qkv, out)| self.image(qkv, scratch, out));
    }

    fn image(self, qkv: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
        let Self { tokens, hidden, heads, queries, .. } = self;
        let (size, stride) = (hidden / heads, 3 * hidden);
        let scale = 1.0 / (size as f32).sqrt();
        for head in 0..heads {
            let start = head * size;
            self.gather(&qkv[start..], self.bias.get(start..start + size), scale, &mut scratch.query);
            let query = Matrix::new(&scratch.query, queries, size, size);
            let keys = if self.rotary.is_some() {
                let start = hidden + start;
                self.gather(&qkv[start..], self.bias.get(start..start + size), 1.0, &mut scratch.keys);
                Matrix::new(&scratch.keys, tokens, size, size)
            } else {
                Matrix::new(&qkv[hidden + start..], tokens, size, stride)
            };
            multiply(query, keys.transposed(), &mut scratch.scores, tokens, Output::Write, Threads::One);
            if let Some(scores) = self.scores {
                let scores = &scores[head * tokens * tokens..];
                scratch.scores.iter_mut().zip(scores).for_each(|(score, more)| *score += more);
            }
            Arch::new().dispatch(
                #[inline(always)]
                || scratch.scores.chunks_exact_mut(tokens).for_each(softmax),
            );
            let weights = Matrix::new(&scratch.scores, queries, tokens, tokens);
            let values = Matrix::new(&qkv[2 * hidden + start..], tokens, size, stride);
            multiply(weights, values, &mut out[start..], hidden, Output::Write, Threads::One);
        }
    }

    /// One head's numbers of the first tokens, side by side, with bias and scale and turned.
    fn gather(self, from: &[f32], bias: Option<&[f32]>, scale: f32, to: &mut [f32]) {
        let (size, stride) = (self.hidden / self.heads, 3 * self.hidden);
        for (token, to) in to.chunks_exact_mut(size).enumerate() {
            let from = &from[token * stride..][..size];
            match bias {
                Some(bias) => to.iter_mut().zip(from).zip(bias).for_each(|((to, x), b)| *to = (x + b) * scale),
                None => to.iter_mut().zip(from).for_each(|(to, x)| *to = x * scale),
            }
            if let Some(rotary) = self.rotary {
                rotary.turn(token, to);
            }
        }
    }
}

/// What one image's attention needs besides input and output, reused from head to head.
struct Scratch {
    /// `[queries, head size]`.
    query: Vec<f32>,
    /// `[tokens, head size]`, where keys are turned.
    keys: Vec<f32>,
    /// `[queries, tokens]`.
    scores: Vec<f32>,
}

impl Scratch {
    fn new(shape: Attention<'_>) -> Self {
        let size = shape.hidden / shape.heads;
        Self {
            query: vec![0.0; shape.queries * size],
            keys: if shape.rotary.is_some() { vec![0.0; shape.tokens * size] } else { vec![] },
            scores: vec![0.0; shape.queries * shape.tokens],
        }
    }
}

/// e^x of each number over the sum of all, after subtracting the largest.
#[inline(always)]
pub(super) fn softmax(row: &mut [f32]) {
    let largest = max(row);
    for x in &mut *row {
        *x = exp(*x - largest);
    }
    let scale = 1.0 / sum(row, |x| x);
    for x in row {
        *x *= scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_matches_one_key_returns_its_value() {
        // Two heads of two numbers; three tokens. Each head's query of token 0 points at another token's key.
        let shape = Attention { tokens: 3, hidden: 4, heads: 2, queries: 1, bias: &[], scores: None, rotary: None };
        let q = [[50.0, 0.0, 0.0, 50.0], [0.0; 4], [0.0; 4]];
        let k = [[0.0; 4], [9.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 9.0]];
        let v = [[7.0; 4], [1.0, 2.0, 7.0, 7.0], [7.0, 7.0, 3.0, 4.0]];
        let qkv: Vec<f32> = (0..3).flat_map(|t| [q[t], k[t], v[t]].concat()).collect();
        let mut out = [0.0; 4];
        shape.apply(&qkv, &mut out);
        assert_eq!(out, [1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn a_bias_of_all_keys_shows_only_where_they_are_turned() {
        let qkv: Vec<f32> = (0..4 * 12).map(|i| ((i * 29) % 17) as f32 / 8.0 - 1.0).collect();
        let rotary = Rotary::new((4, 1), 4, 100.0, 0);
        let answers = |bias: &[f32], rotary| {
            let shape = Attention { tokens: 4, hidden: 4, heads: 1, queries: 4, bias, scores: None, rotary };
            let mut out = [0.0; 16];
            shape.apply(&qkv, &mut out);
            out
        };
        let (none, keys) = ([0.0; 8], [0.0, 0.0, 0.0, 0.0, 1.0, -1.0, 2.0, 0.5]);
        assert_eq!(answers(&none, None), answers(&keys, None));
        assert_ne!(answers(&none, Some(&rotary)), answers(&keys, Some(&rotary)));
        assert_eq!(answers(&none, Some(&rotary)), answers(&[], Some(&rotary)));
    }

    #[test]
    fn what_is_added_to_the_scores_is_its_heads_own() {
        let qkv: Vec<f32> = (0..2 * 6).map(|i| i as f32 / 8.0).collect();
        let far = -1e4;
        // The first head reads the second token alone, the second head the first.
        let scores = [[far, 0.0, far, 0.0], [0.0, far, 0.0, far]].concat();
        let shape =
            Attention { tokens: 2, hidden: 2, heads: 2, queries: 2, bias: &[], scores: Some(&scores), rotary: None };
        let mut out = [0.0; 4];
        shape.apply(&qkv, &mut out);
        assert_eq!(out, [10.0 / 8.0, 5.0 / 8.0, 10.0 / 8.0, 5.0 / 8.0]);
    }

    #[test]
    fn softmax_sums_to_one_however_large_the_scores() {
        let mut row: Vec<f32> = (0..50).map(|i| 1e4 + i as f32).collect();
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
