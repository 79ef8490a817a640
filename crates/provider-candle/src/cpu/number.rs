//! What the numbers between two products are kept in.

use std::fmt;

use half::bf16;
use imbed_kernels::{Attention, Error, Pool, Tokens, Value};

/// f32, or bf16, which halves what products read and write between them.
pub(super) trait Number: Value + Copy + Default + Send + Sync + fmt::Debug + 'static {
    fn from_f32(x: f32) -> Self;
    fn to_f32(self) -> f32;

    /// The kernels' attention over such numbers.
    fn attend(kernel: Attention, qkv: [Tokens<'_, Self>; 3], out: &mut [Self], pool: &dyn Pool) -> Result<(), Error>;
}

impl Number for f32 {
    fn from_f32(x: f32) -> Self {
        x
    }

    fn to_f32(self) -> f32 {
        self
    }

    fn attend(kernel: Attention, [q, k, v]: [Tokens<'_>; 3], out: &mut [Self], pool: &dyn Pool) -> Result<(), Error> {
        kernel.apply(q, k, v, out, pool)
    }
}

impl Number for bf16 {
    fn from_f32(x: f32) -> Self {
        Self::from_f32(x)
    }

    fn to_f32(self) -> f32 {
        self.to_f32()
    }

    fn attend(
        kernel: Attention,
        [q, k, v]: [Tokens<'_, Self>; 3],
        out: &mut [Self],
        pool: &dyn Pool,
    ) -> Result<(), Error> {
        kernel.apply_bf16(q, k, v, out, pool)
    }
}
