//! Running a model on the processor, in f32, bf16 or bytes, with the kernels of `imbed-kernels`.
//!
//! One [`CpuModel`] holds the weights as the kernels want them ([`layout`]). A pass takes some images through [`stem`],
//! [`norm`], [`attention`], [`linear`] and [`pool`], all over buffers that [`workspace`] keeps between calls.
//!
//! The bits of a vector depend on its image alone: not on the batch, the place in it, or the number of threads. Every
//! kernel computes a row, or an image, by itself in one order.

#![cfg_attr(test, allow(clippy::float_cmp, reason = "the tests are about exact numbers"))]

mod attention;
mod auto;
mod forward;
mod layout;
mod linear;
mod norm;
mod number;
mod pool;
mod precision;
mod stem;
mod threads;
mod workspace;

use imbed_core::{Error, ErrorKind};

pub(crate) use auto::fastest;
pub(crate) use forward::CpuModel;
pub(crate) use precision::Precisions;

/// Sizes that a kernel refuses: what was read from a checkpoint was held against its config, so this is a mistake of ours.
fn fit(error: imbed_kernels::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("the model does not fit its kernels: {error}")).source(error)
}
