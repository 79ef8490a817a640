//! Multi-head self-attention.

use imbed_core::Result;
use imbed_kernels::{Activation, Alone, Attention as Kernel, Cpu, Linear, Precision, Then, Tokens, softmax};
use imbed_vision::Rotary;

use super::{fit, number::Number, threads::Threads};

/// The sizes of one attention, and how its scores are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attention<'a> {
    pub(super) cpu: Cpu,
    /// Tokens per image.
    pub(super) tokens: usize,
    /// Numbers per token.
    pub(super) hidden: usize,
    /// Heads, which share `hidden` evenly.
    pub(super) heads: usize,
    /// How many of the first tokens ask: all, or the class token alone where nothing reads the others' answers.
    pub(super) queries: usize,
    /// Added to the scores of each head, query and key, `[heads, tokens, tokens]`.
    pub(super) scores: Option<&'a [f32]>,
    /// How queries and keys are turned.
    pub(super) rotary: Option<&'a Rotary>,
    pub(super) threads: Threads,
}

impl Attention<'_> {
    /// `softmax(q k^T / sqrt(d)) v` per head.
    ///
    /// `qkv` is `[images, tokens, 3 * hidden]`, whose queries and keys are turned where they stand, and `out` `[images,
    /// queries, hidden]`.
    pub(super) fn apply<T: Number>(self, qkv: &mut [T], out: &mut [T]) -> Result<()> {
        let Self { tokens, hidden, queries, .. } = self;
        let image = tokens * 3 * hidden;
        if let Some(rotary) = self.rotary {
            self.threads.each(qkv, image, |qkv| {
                qkv.chunks_exact_mut(image).for_each(|qkv| self.turn(rotary, qkv));
            });
        }
        if let Some(scores) = self.scores {
            return self.threads.parts((&*qkv, image), (out, queries * hidden), |qkv, out| {
                let mut images = qkv.chunks_exact(image).zip(out.chunks_exact_mut(queries * hidden));
                images.try_for_each(|(qkv, out)| {
                    (0..self.heads).try_for_each(|head| self.head(head, &scores[head * tokens * tokens..], qkv, out))
                })
            });
        }
        let matrix = |start| Tokens { values: &*qkv, width: 3 * hidden, start, tokens };
        // The first tokens of an image are the whole of a matrix whose rows are images.
        let asking = if queries == 1 { Tokens { width: image, tokens: 1, ..matrix(0) } } else { matrix(0) };
        let size = hidden / self.heads;
        let kernel = Kernel { cpu: self.cpu, heads: self.heads, head_size: size, scale: self.scale() };
        T::attend(kernel, [asking, matrix(hidden), matrix(2 * hidden)], out, &self.threads).map_err(fit)
    }

    fn scale(self) -> f32 {
        1.0 / ((self.hidden / self.heads) as f32).sqrt()
    }

    /// One image's queries and keys.
    fn turn<T: Number>(self, rotary: &Rotary, qkv: &mut [T]) {
        let size = self.hidden / self.heads;
        let mut turned = vec![0.0; size];
        for (token, row) in qkv.chunks_exact_mut(3 * self.hidden).enumerate() {
            for head in row[..2 * self.hidden].chunks_exact_mut(size) {
                turned.iter_mut().zip(&*head).for_each(|(to, x)| *to = x.to_f32());
                rotary.turn(token, &mut turned);
                head.iter_mut().zip(&turned).for_each(|(to, x)| *to = T::from_f32(*x));
            }
        }
    }

    /// One head of one image whose scores have something added. Keys are the weights of one product and values of another.
    fn head<T: Number>(self, head: usize, more: &[f32], qkv: &[T], out: &mut [T]) -> Result<()> {
        let Self { tokens, hidden, queries, .. } = self;
        let size = hidden / self.heads;
        let of = |token: usize, part: usize| &qkv[(3 * token + part) * hidden + head * size..][..size];
        let all = |part: usize, tokens: usize| (0..tokens).flat_map(move |token| of(token, part)).map(|x| x.to_f32());
        let scale = self.scale();
        let asking: Vec<f32> = all(0, queries).map(|x| x * scale).collect();
        let mut scores = more[..queries * tokens].to_vec();
        let product = |weights: &[f32], inputs: usize, x: &[f32], y: &mut [f32], then: Then| {
            let linear = Linear::pack(self.cpu, Precision::F32, weights, inputs, None)?;
            linear.apply(x, y, then, &Alone)
        };
        product(&all(1, tokens).collect::<Vec<_>>(), size, &asking, &mut scores, Then::Add).map_err(fit)?;
        softmax(self.cpu, &mut scores, tokens).map_err(fit)?;
        let values: Vec<f32> = (0..size).flat_map(|i| (0..tokens).map(move |token| of(token, 2)[i].to_f32())).collect();
        let mut answers = vec![0.0; queries * size];
        product(&values, tokens, &scores, &mut answers, Then::Activate(Activation::Identity)).map_err(fit)?;
        for (answer, out) in answers.chunks_exact(size).zip(out.chunks_exact_mut(hidden)) {
            out[head * size..][..size].iter_mut().zip(answer).for_each(|(out, x)| *out = T::from_f32(*x));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(tokens: usize, hidden: usize, heads: usize, queries: usize) -> Attention<'static> {
        let cpu = Cpu::detect().unwrap();
        Attention { cpu, tokens, hidden, heads, queries, scores: None, rotary: None, threads: Threads::All }
    }

    fn assert_close(a: &[f32], b: &[f32]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "{a:?} is not {b:?}");
    }

    #[test]
    fn a_query_that_matches_one_key_returns_its_value() {
        // Two heads of two numbers; three tokens. Each head's query of token 0 points at another token's key.
        let q = [[50.0, 0.0, 0.0, 50.0], [0.0; 4], [0.0; 4]];
        let k = [[0.0; 4], [9.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 9.0]];
        let v = [[7.0; 4], [1.0, 2.0, 7.0, 7.0], [7.0, 7.0, 3.0, 4.0]];
        let mut qkv: Vec<f32> = (0..3).flat_map(|t| [q[t], k[t], v[t]].concat()).collect();
        let mut out = [0.0; 4];
        shape(3, 4, 2, 1).apply(&mut qkv, &mut out).unwrap();
        assert_close(&out, &[1.0, 2.0, 3.0, 4.0]);
    }

    #[test]
    fn one_query_of_each_image_is_answered_as_among_all() {
        let qkv: Vec<f32> = (0..2 * 5 * 24).map(|i| ((i * 29) % 17) as f32 / 8.0 - 1.0).collect();
        let (mut all, mut first) = ([0.0; 2 * 5 * 8], [0.0; 2 * 8]);
        shape(5, 8, 2, 5).apply(&mut qkv.clone(), &mut all).unwrap();
        shape(5, 8, 2, 1).apply(&mut qkv.clone(), &mut first).unwrap();
        assert_eq!([&all[..8], &all[40..48]].concat(), first);
    }

    #[test]
    fn turned_queries_and_keys_are_those_of_the_reference() {
        let mut qkv: Vec<f32> = (0..4 * 12).map(|i| ((i * 29) % 17) as f32 / 8.0 - 1.0).collect();
        let rotary = Rotary::new((4, 1), 4, 100.0, 0);
        let mut expected = qkv.clone();
        for token in 0..4 {
            for part in 0..2 {
                rotary.turn(token, &mut expected[token * 12 + part * 4..][..4]);
            }
        }
        let mut out = [0.0; 16];
        Attention { rotary: Some(&rotary), ..shape(4, 4, 1, 4) }.apply(&mut qkv, &mut out).unwrap();
        assert_eq!(qkv, expected);
    }

    #[test]
    fn what_is_added_to_the_scores_is_its_heads_own() {
        let mut qkv: Vec<f32> = (0..2 * 6).map(|i| i as f32 / 8.0).collect();
        let far = -1e4;
        // The first head reads the second token alone, the second head the first.
        let scores = [[far, 0.0, far, 0.0], [0.0, far, 0.0, far]].concat();
        let mut out = [0.0; 4];
        Attention { scores: Some(&scores), ..shape(2, 2, 2, 2) }.apply(&mut qkv, &mut out).unwrap();
        assert_close(&out, &[10.0 / 8.0, 5.0 / 8.0, 10.0 / 8.0, 5.0 / 8.0]);
    }

    #[test]
    fn nothing_added_to_the_scores_changes_nothing() {
        let qkv: Vec<f32> = (0..2 * 5 * 24).map(|i| ((i * 29) % 17) as f32 / 8.0 - 1.0).collect();
        let zeros = [0.0; 2 * 25];
        let (mut plain, mut added) = ([0.0; 80], [0.0; 80]);
        shape(5, 8, 2, 5).apply(&mut qkv.clone(), &mut plain).unwrap();
        Attention { scores: Some(&zeros), ..shape(5, 8, 2, 5) }.apply(&mut qkv.clone(), &mut added).unwrap();
        assert_close(&plain, &added);
    }
}
