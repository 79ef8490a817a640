//! What rows hold.

use half::bf16;

use crate::simd::{Simd, load_up_to, store_up_to};

/// f32 or bf16: what rows may come in, and results go out in.
pub trait Value: sealed::Element {}

impl Value for f32 {}
impl Value for bf16 {}

/// Values of either kind. What is generic outside ends here, so that kernels are compiled once.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// f32.
    F32(&'a [f32]),
    /// bf16.
    Bf16(&'a [bf16]),
}

/// Values of either kind, to be written.
#[derive(Debug)]
pub enum ValuesMut<'a> {
    /// f32.
    F32(&'a mut [f32]),
    /// bf16.
    Bf16(&'a mut [bf16]),
}

pub(crate) mod sealed {
    use super::{Values, ValuesMut};

    /// Nobody outside can name it, so nobody can implement [`Value`](super::Value).
    pub trait Element: Sized {
        /// As what they are.
        fn values(of: &[Self]) -> Values<'_>;
        /// As what they are.
        fn values_mut(of: &mut [Self]) -> ValuesMut<'_>;
    }
}

impl sealed::Element for f32 {
    fn values(of: &[Self]) -> Values<'_> {
        Values::F32(of)
    }

    fn values_mut(of: &mut [Self]) -> ValuesMut<'_> {
        ValuesMut::F32(of)
    }
}

impl sealed::Element for bf16 {
    fn values(of: &[Self]) -> Values<'_> {
        Values::Bf16(of)
    }

    fn values_mut(of: &mut [Self]) -> ValuesMut<'_> {
        ValuesMut::Bf16(of)
    }
}

/// What vectors are read from and written to.
pub(crate) trait Lanes: Copy + Send + Sync {
    /// Whether what is stored has so few digits that functions need no more.
    const COARSE: bool;

    /// As f32.
    fn wide(self) -> f32;
    /// As many as lanes, or fewer and zeros.
    fn load<S: Simd>(simd: S, from: &[Self]) -> S::F;
    /// Into as many as lanes, or fewer; bf16 to the nearest.
    fn store<S: Simd>(simd: S, x: S::F, to: &mut [Self]);
}

impl Lanes for f32 {
    const COARSE: bool = false;

    #[inline(always)]
    fn wide(self) -> f32 {
        self
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self]) -> S::F {
        load_up_to(simd, from)
    }

    #[inline(always)]
    fn store<S: Simd>(simd: S, x: S::F, to: &mut [Self]) {
        store_up_to(simd, x, to);
    }
}

impl Lanes for bf16 {
    const COARSE: bool = true;

    #[inline(always)]
    fn wide(self) -> f32 {
        self.to_f32()
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[Self]) -> S::F {
        if from.len() == S::LANES {
            return simd.load_bf16(from);
        }
        let mut all = [Self::ZERO; 16];
        all[..from.len()].copy_from_slice(from);
        simd.load_bf16(&all)
    }

    #[inline(always)]
    fn store<S: Simd>(simd: S, x: S::F, to: &mut [Self]) {
        if to.len() == S::LANES {
            return simd.store_bf16(x, to);
        }
        let mut all = [Self::ZERO; 16];
        simd.store_bf16(x, &mut all);
        to.copy_from_slice(&all[..to.len()]);
    }
}
