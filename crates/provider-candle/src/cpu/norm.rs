//! Norms over rows, with the bias of the product before them, in one pass.

use imbed_vision::architecture::NormKind;
use pulp::Arch;
use rayon::prelude::*;

use super::rows::sum;

/// Rows per task.
const TASK: usize = 32;

/// A norm over rows of `weight.len()` numbers.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) kind: NormKind,
    pub(super) weight: Vec<f32>,
    /// Zeros where the norm has none.
    pub(super) bias: Vec<f32>,
    pub(super) eps: f32,
}

impl Norm {
    /// Adds `pending`, if any, to each row of `x`, and writes the norm of each row to `out`, which is as long.
    ///
    /// `x` is the residual stream, to which a product was added without its bias: adding that here saves a pass.
    pub(super) fn apply(&self, x: &mut [f32], pending: Option<&[f32]>, out: &mut [f32]) {
        let width = self.weight.len();
        x.par_chunks_mut(TASK * width).zip(out.par_chunks_mut(TASK * width)).for_each(|(x, out)| {
            Arch::new().dispatch(
                #[inline(always)]
                || {
                    for (x, out) in x.chunks_exact_mut(width).zip(out.chunks_exact_mut(width)) {
                        if let Some(pending) = pending {
                            x.iter_mut().zip(pending).for_each(|(x, b)| *x += *b);
                        }
                        self.row(x, out);
                    }
                },
            );
        });
    }

    /// Adds `pending`, if any, to each row of `x`, and norms it where it stands.
    pub(super) fn apply_in_place(&self, x: &mut [f32], pending: Option<&[f32]>) {
        let width = self.weight.len();
        x.par_chunks_mut(TASK * width).for_each(|x| {
            let mut row = vec![0.0; width];
            for x in x.chunks_exact_mut(width) {
                row.copy_from_slice(x);
                if let Some(pending) = pending {
                    row.iter_mut().zip(pending).for_each(|(x, b)| *x += *b);
                }
                Arch::new().dispatch(
                    #[inline(always)]
                    || self.row(&row, x),
                );
            }
        });
    }

    #[inline(always)]
    fn row(&self, x: &[f32], out: &mut [f32]) {
        match self.kind {
            NormKind::Layer => self.layer(x, out),
            NormKind::Rms => self.rms(x, out),
        }
    }

    #[inline(always)]
    fn layer(&self, x: &[f32], out: &mut [f32]) {
        let count = x.len() as f32;
        let mean = sum(x, |x| x) / count;
        let variance = sum(x, |x| (x - mean) * (x - mean)) / count;
        let scale = 1.0 / (variance + self.eps).sqrt();
        for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(&self.weight).zip(&self.bias) {
            *out = (*x - mean) * scale * *weight + *bias;
        }
    }

    #[inline(always)]
    fn rms(&self, x: &[f32], out: &mut [f32]) {
        let square = sum(x, |x| x * x) / x.len() as f32;
        let scale = 1.0 / (square + self.eps).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(&self.weight) {
            *out = *x * scale * *weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_becomes_its_deviations_from_the_mean_in_units_of_their_spread() {
        let (weight, bias) = (vec![1.0, 1.0, 2.0, 1.0], vec![0.0, 0.0, 0.0, 5.0]);
        let norm = Norm { kind: NormKind::Layer, weight, bias, eps: 0.0 };
        let mut x = [0.0, 2.0, 0.0, 2.0, 5.0, 5.0, 7.0, 7.0];
        let (before, mut out) = (x, [0.0; 8]);
        norm.apply(&mut x, Some(&[1.0; 4]), &mut out);
        assert_eq!(out, [-1.0, 1.0, -2.0, 6.0, -1.0, -1.0, 2.0, 6.0]);
        assert_eq!(x, [1.0, 3.0, 1.0, 3.0, 6.0, 6.0, 8.0, 8.0]);
        x = before;
        norm.apply_in_place(&mut x, Some(&[1.0; 4]));
        assert_eq!(x, out);
    }

    #[test]
    fn by_the_root_mean_square_the_mean_stays() {
        let norm = Norm { kind: NormKind::Rms, weight: vec![1.0, 2.0], bias: vec![0.0; 2], eps: 0.0 };
        let mut x = [1.0, 7.0, 3.0, 3.0];
        let mut out = [0.0; 4];
        norm.apply(&mut x, None, &mut out);
        assert_eq!(out, [0.2, 2.8, 1.0, 2.0]);
    }
}
