//! Activation functions, with the bias of the product before them, in one pass.

use imbed_vision::Activation;
use pulp::Arch;
use rayon::prelude::*;

use super::exp::exp;

/// Numbers per task: enough to be worth handing to a thread.
const TASK: usize = 1 << 15;

/// Adds `bias` to each row of `x`, `[rows, bias.len()]`, and applies `activation`.
pub(super) fn apply(activation: Activation, x: &mut [f32], bias: &[f32]) {
    let rows = (TASK / bias.len().max(1)).max(1);
    x.par_chunks_mut(rows * bias.len().max(1)).for_each(|rows| {
        Arch::new().dispatch(
            #[inline(always)]
            || match activation {
                Activation::QuickGelu => each(rows, bias, quick_gelu),
                Activation::Gelu => each(rows, bias, gelu),
                Activation::GeluTanh => each(rows, bias, gelu_tanh),
                Activation::Relu => each(rows, bias, relu),
                Activation::Silu => each(rows, bias, silu),
                Activation::Tanh => each(rows, bias, tanh),
            },
        );
    });
}

/// Adds `bias` to each row of `x`, `[rows, bias.len()]`, and makes its first half `activation(first half) * second half`.
pub(super) fn apply_gate(activation: Activation, x: &mut [f32], bias: &[f32]) {
    let rows = (TASK / bias.len().max(1)).max(1);
    x.par_chunks_mut(rows * bias.len().max(1)).for_each(|rows| {
        Arch::new().dispatch(
            #[inline(always)]
            || match activation {
                Activation::QuickGelu => each_gate(rows, bias, quick_gelu),
                Activation::Gelu => each_gate(rows, bias, gelu),
                Activation::GeluTanh => each_gate(rows, bias, gelu_tanh),
                Activation::Relu => each_gate(rows, bias, relu),
                Activation::Silu => each_gate(rows, bias, silu),
                Activation::Tanh => each_gate(rows, bias, tanh),
            },
        );
    });
}

#[inline(always)]
fn each_gate(rows: &mut [f32], bias: &[f32], f: impl Fn(f32) -> f32) {
    let (gate_bias, up_bias) = bias.split_at(bias.len() / 2);
    for row in rows.chunks_exact_mut(bias.len()) {
        let (gate, up) = row.split_at_mut(gate_bias.len());
        for (((gate, up), gate_bias), up_bias) in gate.iter_mut().zip(up).zip(gate_bias).zip(up_bias) {
            *gate = f(*gate + *gate_bias) * (*up + *up_bias);
        }
    }
}

#[inline(always)]
fn each(rows: &mut [f32], bias: &[f32], f: impl Fn(f32) -> f32) {
    for row in rows.chunks_exact_mut(bias.len()) {
        for (x, b) in row.iter_mut().zip(bias) {
            *x = f(*x + *b);
        }
    }
}

#[inline(always)]
fn quick_gelu(x: f32) -> f32 {
    x / (1.0 + exp(-1.702 * x))
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// x Phi(x), with the error function of Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26, whose error
/// is at most 1.5e-7. Written over |x|, so that no digits are lost where x is far below zero.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = 1.061_405_4;
    let series = series * t - 1.453_152;
    let series = series * t + 1.421_413_7;
    let series = series * t - 0.284_496_74;
    let series = series * t + 0.254_829_6;
    let complement = series * t * exp(-z * z);
    relu(x) - 0.5 * x.abs() * complement
}

/// Since (1 + tanh u) / 2 = 1 / (1 + e^-2u).
#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    // 2 sqrt(2 / pi)
    const SCALE: f32 = 1.595_769_2;
    x / (1.0 + exp(-SCALE * (x + 0.044_715 * x * x * x)))
}

/// A comparison and not `max`, which would turn NaN into zero.
#[inline(always)]
pub(super) fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * x))
}

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;

    use super::*;

    #[test]
    fn agree_with_transformers() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/activations/golden.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let golden = SafeTensors::deserialize(&bytes).unwrap();
        let read = |name: &str| -> Vec<f32> {
            let tensor = golden.tensor(name).unwrap();
            tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
        };
        let x = read("x");
        for name in ["quick_gelu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "tanh"] {
            let mut y: Vec<f32> = x.iter().map(|x| x - 0.5).collect();
            apply(Activation::from_name(name).unwrap(), &mut y, &[0.5]);
            for ((x, y), exact) in x.iter().zip(y).zip(read(name)) {
                assert!((y - exact).abs() <= 1e-6 * (1.0 + exact.abs()), "{name}({x}) = {y}, not {exact}");
            }
        }
    }

    #[test]
    fn a_gate_multiplies_the_second_half_into_the_first() {
        for (activation, f) in [(Activation::Silu, silu as fn(f32) -> f32), (Activation::Gelu, gelu)] {
            let mut x = [1.0, -2.0, 3.0, 4.0, 0.5, 0.0, -1.0, 2.0];
            apply_gate(activation, &mut x, &[0.5, 0.0, 1.0, -1.0]);
            assert_eq!((x[0], x[1]), (f(1.5) * 4.0, f(-2.0) * 3.0));
            assert_eq!((x[4], x[5]), (f(1.0) * 0.0, f(0.0) * 1.0));
        }
    }

    #[test]
    fn far_from_zero_they_are_flat_or_straight_and_nan_stays() {
        for f in [quick_gelu, gelu, gelu_tanh, relu, silu] {
            assert!(f(-1e4).abs() < 1e-20);
            assert_eq!(f(1e4), 1e4);
            assert!(f(f32::NAN).is_nan());
        }
        assert_eq!((tanh(-50.0), tanh(50.0)), (-1.0, 1.0));
    }
}
