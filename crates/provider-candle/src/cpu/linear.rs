//! The MLP, made of two products, or, gated, of three.

use imbed_core::Result;
use imbed_kernels::{Activation, Linear, Then, Value};

use super::{fit, number::Number, threads::Threads, workspace::sized};

/// Numbers per task of the gate: enough to be worth handing to a thread.
const TASK: usize = 1 << 15;

/// `fc2(activation(fc1(x)))`, or `fc2(activation(fc1(x)) * up(x))`.
pub(super) struct Mlp {
    pub(super) activation: Activation,
    pub(super) fc1: Linear,
    pub(super) up: Option<Linear>,
    pub(super) fc2: Linear,
}

impl Mlp {
    /// Adds the MLP of the rows `x` to `out`. The buffers grow if they must.
    pub(super) fn add<T: Number>(
        &self,
        x: &[T],
        buffer: &mut Vec<T>,
        spare: &mut Vec<T>,
        out: &mut [f32],
        threads: Threads,
    ) -> Result<()> {
        let middle = x.len() / self.fc1.inputs() * self.fc1.outputs();
        let wide = sized(buffer, middle);
        apply(&self.fc1, x, wide, Then::Activate(self.activation), threads)?;
        if let Some(up) = &self.up {
            let factors = sized(spare, middle);
            apply(up, x, factors, Then::Activate(Activation::Identity), threads)?;
            threads.parts((factors, TASK), (wide, TASK), |factors, wide| {
                wide.iter_mut().zip(factors).for_each(|(x, factor)| *x = T::from_f32(x.to_f32() * factor.to_f32()));
                Ok(())
            })?;
        }
        apply(&self.fc2, wide, out, Then::Add, threads)
    }
}

/// The product of rows.
pub(super) fn apply<X: Value, Y: Value>(
    linear: &Linear,
    x: &[X],
    out: &mut [Y],
    then: Then,
    threads: Threads,
) -> Result<()> {
    linear.apply_mixed(x, out, then, &threads).map_err(fit)
}

/// `to += from`, as far as both reach.
pub(super) fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
}

#[cfg(test)]
mod tests {
    use imbed_kernels::{Cpu, Precision};

    use super::*;

    #[test]
    fn a_gate_multiplies_what_the_other_product_gives() {
        let linear = |weight: &[f32]| Linear::pack(Cpu::detect().unwrap(), Precision::F32, weight, 2, None).unwrap();
        let mlp = Mlp {
            activation: Activation::Relu,
            fc1: linear(&[1.0, 0.0, 0.0, 1.0]),
            up: Some(linear(&[2.0, 0.0, 0.0, 3.0])),
            fc2: linear(&[1.0, 0.0, 0.0, 1.0]),
        };
        let mut out = [1.0; 4];
        mlp.add(&[2.0, 3.0, -1.0, 5.0], &mut vec![], &mut vec![], &mut out, Threads::One).unwrap();
        assert_eq!(out, [1.0 + 2.0 * 4.0, 1.0 + 3.0 * 9.0, 1.0, 1.0 + 5.0 * 15.0]);
    }
}
