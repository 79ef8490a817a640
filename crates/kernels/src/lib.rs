//! The dense kernels that a vision transformer needs on a processor.
//!
//! - [`Linear`]: `act(x · wᵀ + b)` or `y += x · wᵀ + b`, weights packed once, in f32, bf16 or int8 ([`Precision`]).
//! - [`Patches`]: pixels as bytes are rows of such a product, once their normalisation is [folded](fold_normalisation) into
//!   the weights.
//! - [`Attention`]: all heads of a batch, with scores that exist only as a small tile.
//! - [`layer_norm`], [`rms_norm`], [`softmax`]: rows in place of tensors.
//!
//! What runs is chosen at run time by [`Cpu`]; no build flag is needed, and `IMBED_CPU` (`plain`, `neon`, `avx2`, `avx512`,
//! `avx512vnni`, `avx512bf16`, `amx`) holds it down for tests. The crate has no threads of its own: what is worth sharing takes a
//! [`Pool`].
//!
//! Rows come and results go in f32 or bf16 ([`Value`]); bf16 halves what products read and write between them.
//!
//! Every element is summed in an order that depends on the shape of the weights and the processor alone, so the bits of a row
//! do not depend on the rows beside it, nor on the number of threads.
//!
//! ```
//! use imbed_kernels::{Activation, Alone, Cpu, Linear, Precision, Then};
//!
//! // Two outputs of three inputs each, as PyTorch stores them.
//! let weights = [1.0, 0.0, 0.0, 0.0, 2.0, 1.0];
//! let linear = Linear::pack(Cpu::detect()?, Precision::F32, &weights, 3, Some(&[0.5, -0.5]))?;
//! let mut y = [0.0; 2];
//! linear.apply(&[1.0, 2.0, 3.0], &mut y, Then::Activate(Activation::Identity), &Alone)?;
//! assert_eq!(y, [1.5, 6.5]);
//! # Ok::<(), imbed_kernels::Error>(())
//! ```

// What is not inlined into a function compiled with a level's instructions is compiled without them.
#![allow(clippy::inline_always)]

mod activation;
#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
mod cpu;
mod error;
mod linear;
mod math;
mod memory;
mod norm;
mod patches;
mod pool;
mod simd;
mod softmax;
mod value;

pub use activation::Activation;
pub use attention::{Attention, Tokens};
pub use cpu::{Cpu, Level};
pub use error::Error;
pub use linear::{Linear, Precision, Then};
pub use norm::{layer_norm, layer_norm_mixed, rms_norm, rms_norm_mixed};
pub use patches::{Patches, fold_normalisation};
pub use pool::{Alone, Pool};
pub use softmax::softmax;
pub use value::Value;
