//! What stands between the two products of a transformer's feed-forward part.

use crate::{
    math::{normal_below, sigmoid, sigmoid2_coarse},
    simd::Simd,
};

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `x`.
    Identity,
    /// `x · sigmoid(1.702 x)`, which CLIP was trained with.
    QuickGelu,
    /// `x` times the share of a normal distribution below x.
    Gelu,
    /// [`Gelu`](Self::Gelu), put as `x / 2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    GeluTanh,
    /// `x · sigmoid(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// `tanh x`.
    Tanh,
}

impl Activation {
    /// Of every lane.
    #[inline(always)]
    pub(crate) fn of<S: Simd>(self, simd: S, x: S::F) -> S::F {
        match self {
            Self::Identity => x,
            Self::QuickGelu => simd.mul(x, sigmoid(simd, simd.mul(x, simd.splat(1.702)))),
            Self::Gelu => simd.mul(x, normal_below(simd, x)),
            Self::GeluTanh => {
                // (1 + tanh u) / 2 is sigmoid(2u).
                let cubic = simd.mul_add(
                    simd.mul(x, x),
                    simd.splat(2.0 * 0.797_884_6 * 0.044_715),
                    simd.splat(2.0 * 0.797_884_6),
                );
                simd.mul(x, sigmoid(simd, simd.mul(x, cubic)))
            }
            Self::Silu => simd.mul(x, sigmoid(simd, x)),
            // In this order what is not a number stays none.
            Self::Relu => simd.max(simd.splat(0.0), x),
            // tanh x is 2 sigmoid(2x) - 1.
            Self::Tanh => {
                let twice = simd.add(x, x);
                let twice = simd.min(simd.splat(40.0), twice);
                simd.mul_add(sigmoid(simd, twice), simd.splat(2.0), simd.splat(-1.0))
            }
        }
    }

    /// Of every lane, to an absolute 3e-5 and a relative 3e-4 of x: for results that are rounded to bf16.
    #[inline(always)]
    pub(crate) fn of_coarse<S: Simd>(self, simd: S, x: S::F) -> S::F {
        const LOG2_E: f32 = std::f32::consts::LOG2_E;
        let steepness = match self {
            Self::Identity | Self::Relu | Self::Tanh => return self.of(simd, x),
            Self::QuickGelu => simd.splat(1.702 * LOG2_E),
            Self::Silu => simd.splat(LOG2_E),
            Self::GeluTanh => simd.mul_add(
                simd.mul(x, x),
                simd.splat(2.0 * LOG2_E * 0.797_884_6 * 0.044_715),
                simd.splat(2.0 * LOG2_E * 0.797_884_6),
            ),
            Self::Gelu => {
                // The polynomial that is off least where its sigmoid, times x, is x times the share of the normal distribution.
                // Beyond 4.2 both are 0 or 1.
                let square = simd.min(simd.splat(4.2 * 4.2), simd.mul(x, x));
                let sum = simd.mul_add(square, simd.splat(-1.014_481_8e-3), simd.splat(0.106_776_73));
                simd.mul_add(square, sum, simd.splat(2.301_120_5))
            }
        };
        simd.mul(x, sigmoid2_coarse(simd, simd.mul(x, steepness)))
    }
}
