//! Products with their biases, and the MLP made of two.

use imbed_vision::{Activation, architecture::MlpKind};

use super::{
    activation,
    product::{Matrix, Output, Threads, multiply},
    workspace::sized,
};

/// A product and the bias that somebody adds later.
#[derive(Debug)]
pub(super) struct Linear {
    /// `[from, to]`: the transpose of what checkpoints hold, so that the product reads it as it lies.
    pub(super) weight: Vec<f32>,
    pub(super) to: usize,
    /// `[to]`, or empty where there is none.
    pub(super) bias: Vec<f32>,
}

impl Linear {
    /// The product of `x`, rows of `from` numbers, without the bias.
    pub(super) fn apply(&self, x: &[f32], from: usize, out: &mut [f32], output: Output) {
        self.apply_strided(x, x.len() / from, from, from, out, output);
    }

    /// The product of so many `rows` of `from` numbers, which start `stride` apart, without the bias.
    fn apply_strided(&self, x: &[f32], rows: usize, from: usize, stride: usize, out: &mut [f32], output: Output) {
        let x = Matrix::new(x, rows, from, stride);
        multiply(x, Matrix::new(&self.weight, from, self.to, self.to), out, self.to, output, Threads::Pool);
    }
}

/// `fc2(activation(fc1(x)))`, or the gated form of it.
#[derive(Debug)]
pub(super) struct Mlp {
    pub(super) kind: MlpKind,
    pub(super) activation: Activation,
    /// With a bias, of zeros where the model has none.
    pub(super) fc1: Linear,
    pub(super) fc2: Linear,
}

impl Mlp {
    /// Adds the MLP of the rows `x` to `out`, without the bias of `fc2`. `buffer` grows if it must.
    pub(super) fn add(&self, x: &[f32], hidden: usize, buffer: &mut Vec<f32>, out: &mut [f32]) {
        let (rows, width) = (x.len() / hidden, self.fc1.to);
        let wide = sized(buffer, rows * width);
        self.fc1.apply(x, hidden, wide, Output::Write);
        match self.kind {
            MlpKind::Plain => {
                activation::apply(self.activation, wide, &self.fc1.bias);
                self.fc2.apply(wide, width, out, Output::Add);
            }
            MlpKind::Gated => {
                activation::apply_gate(self.activation, wide, &self.fc1.bias);
                // The second half of each row has been used up.
                self.fc2.apply_strided(wide, rows, width / 2, width, out, Output::Add);
            }
        }
    }
}

/// `to += from`, as far as both reach.
pub(super) fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gated_mlp_reads_the_gate_from_the_first_half() {
        let identity = vec![1.0, 0.0, 0.0, 1.0];
        let fc1 = Linear { weight: [[1.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 3.0]].concat(), to: 4, bias: vec![0.0; 4] };
        let fc2 = Linear { weight: identity, to: 2, bias: vec![] };
        let mlp = Mlp { kind: MlpKind::Gated, activation: Activation::Relu, fc1, fc2 };
        let mut out = [1.0, 1.0, 1.0, 1.0];
        mlp.add(&[2.0, 3.0, -1.0, 5.0], 2, &mut vec![], &mut out);
        assert_eq!(out, [1.0 + 2.0 * 4.0, 1.0 + 3.0 * 9.0, 1.0, 1.0 + 5.0 * 15.0]);
    }
}
