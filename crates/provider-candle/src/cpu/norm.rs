//! Norms over rows.

use imbed_core::Result;
use imbed_kernels::{Cpu, layer_norm_mixed, rms_norm_mixed};
use imbed_vision::architecture::NormKind;

use super::{fit, number::Number, threads::Threads};

/// Rows per task.
const TASK: usize = 32;

/// A norm over rows of `weight.len()` numbers.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) cpu: Cpu,
    pub(super) kind: NormKind,
    pub(super) weight: Vec<f32>,
    /// Zeros where the norm has none.
    pub(super) bias: Vec<f32>,
    pub(super) eps: f32,
}

impl Norm {
    /// Writes the norm of each row of `x` to `out`, which is as long.
    pub(super) fn apply<T: Number>(&self, x: &[f32], out: &mut [T], threads: Threads) -> Result<()> {
        let task = TASK * self.weight.len();
        threads.parts((x, task), (out, task), |x, out| self.rows(x, out))
    }

    fn rows<T: Number>(&self, x: &[f32], out: &mut [T]) -> Result<()> {
        match self.kind {
            NormKind::Layer => layer_norm_mixed(self.cpu, x, &self.weight, &self.bias, self.eps, out),
            NormKind::Rms => rms_norm_mixed(self.cpu, x, &self.weight, self.eps, out),
        }
        .map_err(fit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_shared_out_whole_and_each_kind_is_its_own() {
        let rows = 3 * TASK + 1;
        let x: Vec<f32> = (0..rows).flat_map(|row| [row as f32, row as f32 + 2.0]).collect();
        let norm =
            |kind| Norm { cpu: Cpu::detect().unwrap(), kind, weight: vec![1.0, 3.0], bias: vec![0.0, 5.0], eps: 0.0 };
        let mut out = vec![f32::NAN; x.len()];
        norm(NormKind::Layer).apply(&x, &mut out, Threads::All).unwrap();
        assert!(out.chunks_exact(2).all(|row| row == [-1.0, 8.0]));
        norm(NormKind::Rms).apply(&[1.0, 7.0], &mut out[..2], Threads::One).unwrap();
        assert!((out[0] - 0.2).abs() < 1e-6 && (out[1] - 4.2).abs() < 1e-6, "{:?}", &out[..2]);
    }
}
