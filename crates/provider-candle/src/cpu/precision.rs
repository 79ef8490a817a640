//! What each part of a model is computed in.

use imbed_core::options::Dtype;
use imbed_kernels::{Cpu, Level, Precision};

/// The precision of each kind of product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Precisions {
    /// From pixels to tokens.
    pub(super) stem: Precision,
    /// The four products of a block.
    pub(super) block: Precision,
    /// Whatever comes after the blocks: one row per image, so it costs next to nothing.
    pub(super) end: Precision,
}

impl Precisions {
    /// For a number type that the user chose; `None` for one that the processor has no arithmetic of.
    ///
    /// With bytes in the blocks, the stem stays bf16, or f32 where that is as fast. Its inputs are bytes, which bf16 holds exactly, but its weights
    /// reach over a whole patch, and what it gets wrong every block inherits.
    pub(crate) fn of(dtype: Dtype, cpu: Cpu) -> Option<Self> {
        let has_bf16 = cpu.level() >= Level::Avx512Bf16;
        let (stem, block) = match dtype {
            Dtype::F32 => (Precision::F32, Precision::F32),
            Dtype::Bf16 => (Precision::Bf16, Precision::Bf16),
            Dtype::Int8 if has_bf16 => (Precision::Bf16, Precision::Int8),
            Dtype::Int8 => (Precision::F32, Precision::Int8),
            Dtype::F16 | Dtype::Auto => return None,
        };
        Some(Self { stem, block, end: Precision::F32 })
    }

    /// Whether what the products of a block hand on is bf16, rather than f32.
    pub(super) fn narrow(self) -> bool {
        self.block != Precision::F32
    }
}
