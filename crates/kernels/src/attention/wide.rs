//! A head of bf16 where nothing multiplies them: widened, and as in f32 from then on.

use std::mem::take;

use half::bf16;

use super::{Attention, Head, Tokens, blocks::BlockHead};
use crate::{
    memory::{Scratch, Shared},
    simd::{Simd, Work, run},
    value::Lanes as _,
};

/// Computes one head of one image.
pub(super) fn run_head(head: &Head<'_, bf16>) {
    let Attention { cpu, head_size: size, .. } = head.of;
    let mut scratch = Scratch::take();
    let mut words = take(&mut scratch.sums);
    scratch.give_back();
    let lengths = [head.q.tokens, head.k.tokens, head.v.tokens, head.q.tokens].map(|tokens| tokens * size);
    words.reserve(lengths.iter().sum());
    let (q, rest) = words.as_mut_slice().split_at_mut(lengths[0]);
    let (k, rest) = rest.split_at_mut(lengths[1]);
    let (v, rest) = rest.split_at_mut(lengths[2]);
    let y = &mut rest[..lengths[3]];
    for (from, to) in [(head.q, &mut *q), (head.k, &mut *k), (head.v, &mut *v)] {
        run(cpu, Widen { head, from, to });
    }
    let alone = |values, tokens| Tokens { values, width: size, start: 0, tokens };
    let (q, k, v) = (alone(q, head.q.tokens), alone(k, head.k.tokens), alone(v, head.v.tokens));
    let of = Attention { heads: 1, ..head.of };
    run(cpu, BlockHead(Head { q, k, v, y: &Shared::new(&mut *y), image: 0, number: 0, of }));
    run(cpu, Narrow { head, from: y });
    let mut scratch = Scratch::take();
    scratch.sums = words;
    scratch.give_back();
}

/// A head's columns of some tokens to rows of their own.
struct Widen<'a> {
    head: &'a Head<'a, bf16>,
    from: Tokens<'a, bf16>,
    to: &'a mut [f32],
}

impl Work for Widen<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let own = self.head.own();
        for (token, to) in self.to.chunks_exact_mut(own.len()).enumerate() {
            let from = self.from.head(self.head.image, token, own.clone());
            for (from, to) in from.chunks(S::LANES).zip(to.chunks_mut(S::LANES)) {
                f32::store(simd, bf16::load(simd, from), to);
            }
        }
    }
}

/// Rows of a head to its columns of the output.
struct Narrow<'a> {
    head: &'a Head<'a, bf16>,
    from: &'a [f32],
}

impl Work for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn with<S: Simd>(self, simd: S) {
        let size = self.head.of.head_size;
        for (token, from) in self.from.chunks_exact(size).enumerate() {
            // SAFETY: a row's columns of one head are written by one task alone, and none is kept.
            let y = unsafe { self.head.y.part(self.head.result(token, 0..size)) };
            for (from, to) in from.chunks(S::LANES).zip(y.chunks_mut(S::LANES)) {
                bf16::store(simd, f32::load(simd, from), to);
            }
        }
    }
}
