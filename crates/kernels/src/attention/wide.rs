//! A head of bf16 where there are no tiles: widened, and as in f32 from then on.

use std::mem::take;

use half::bf16;

use super::{Attention, Head, Tokens};
use crate::{
    memory::{Scratch, Shared},
    simd::{Simd, Work, run},
    value::Lanes as _,
};

/// One head of one image.
pub(super) struct WideHead<'a> {
    pub(super) q: Tokens<'a, bf16>,
    pub(super) k: Tokens<'a, bf16>,
    pub(super) v: Tokens<'a, bf16>,
    /// The whole output.
    pub(super) y: &'a Shared<'a, bf16>,
    pub(super) image: usize,
    pub(super) number: usize,
    pub(super) of: Attention,
}

impl WideHead<'_> {
    pub(super) fn run(&self) {
        let size = self.of.head_size;
        let mut scratch = Scratch::take();
        let mut words = take(&mut scratch.sums);
        scratch.give_back();
        let lengths = [self.q.tokens, self.k.tokens, self.v.tokens, self.q.tokens].map(|tokens| tokens * size);
        words.reserve(lengths.iter().sum());
        let (q, rest) = words.as_mut_slice().split_at_mut(lengths[0]);
        let (k, rest) = rest.split_at_mut(lengths[1]);
        let (v, rest) = rest.split_at_mut(lengths[2]);
        let y = &mut rest[..lengths[3]];
        for (from, to) in [(self.q, &mut *q), (self.k, &mut *k), (self.v, &mut *v)] {
            run(self.of.cpu, Widen { head: self, from, to });
        }
        let alone = |values, tokens| Tokens { values, width: size, start: 0, tokens };
        let (q, k, v) = (alone(q, self.q.tokens), alone(k, self.k.tokens), alone(v, self.v.tokens));
        let of = Attention { heads: 1, ..self.of };
        run(self.of.cpu, Head { q, k, v, y: &Shared::new(&mut *y), image: 0, number: 0, of });
        run(self.of.cpu, Narrow { head: self, from: y });
        let mut scratch = Scratch::take();
        scratch.sums = words;
        scratch.give_back();
    }
}

/// A head's columns of some tokens to rows of their own.
struct Widen<'a> {
    head: &'a WideHead<'a>,
    from: Tokens<'a, bf16>,
    to: &'a mut [f32],
}

impl Work for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let size = self.head.of.head_size;
        let own = self.head.number * size..(self.head.number + 1) * size;
        for (token, to) in self.to.chunks_exact_mut(size).enumerate() {
            let from = self.from.head(self.head.image, token, own.clone());
            for (from, to) in from.chunks(S::LANES).zip(to.chunks_mut(S::LANES)) {
                f32::store(simd, bf16::load(simd, from), to);
            }
        }
    }
}

/// Rows of a head to its columns of the output.
struct Narrow<'a> {
    head: &'a WideHead<'a>,
    from: &'a [f32],
}

impl Work for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let Attention { heads, head_size: size, .. } = self.head.of;
        for (token, from) in self.from.chunks_exact(size).enumerate() {
            let start = (self.head.image * self.head.q.tokens + token) * heads * size + self.head.number * size;
            // SAFETY: a row's columns of one head are written by one task alone.
            let y = unsafe { self.head.y.part(start..start + size) };
            for (from, to) in from.chunks(S::LANES).zip(y.chunks_mut(S::LANES)) {
                bf16::store(simd, f32::load(simd, from), to);
            }
        }
    }
}
