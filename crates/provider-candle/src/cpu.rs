//! Running a model on the processor, in f32, over candle's matrix product.
//!
//! One [`CpuModel`] holds the weights in the layout that the product wants. A pass takes some images through
//! [`stem`], [`norm`], [`attention`], [`linear`] and [`pool`], all over buffers that [`workspace`] keeps between calls.
//!
//! The bits of a vector depend on its image alone: not on the batch, the place in it, or the number of threads. Every
//! kernel computes a row, or an image, by itself in one order; [`product`] says what makes that true of the product.

#![allow(clippy::inline_always, reason = "a function is compiled for the widest vectors only where it is inlined")]
#![cfg_attr(test, allow(clippy::float_cmp, reason = "the tests are about exact numbers"))]

mod activation;
mod attention;
mod exp;
mod forward;
mod layout;
mod linear;
mod norm;
mod pool;
mod product;
mod rows;
mod stem;
mod workspace;

pub(crate) use forward::CpuModel;
