//! Layer norm, with the bias of the product before it, in one pass.

use pulp::Arch;
use rayon::prelude::*;

use super::rows::sum;

/// Rows per task.
const TASK: usize = 32;

/// A layer norm over rows of `weight.len()` numbers.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
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

    /// Norms each row of `x` where it stands.
    pub(super) fn apply_in_place(&self, x: &mut [f32]) {
        let width = self.weight.len();
        x.par_chunks_mut(TASK * width).for_each(|x| {
            let mut row = vec![0.0; width];
            for x in x.chunks_exact_mut(width) {
                row.copy_from_slice(x);
                Arch::new().dispatch(
                    #[inline(always)]
                    || self.row(&row, x),
                );
            }
        });
    }

    #[inline(always)]
    fn row(&self, x: &[f32], out: &mut [f32]) {
        let count = x.len() as f32;
        let mean = sum(x, |x| x) / count;
        let variance = sum(x, |x| (x - mean) * (x - mean)) / count;
        let scale = 1.0 / (variance + self.eps).sqrt();
        for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(&self.weight).zip(&self.bias) {
            *out = (*x - mean) * scale * *weight + *bias;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_becomes_its_deviations_from_the_mean_in_units_of_their_spread() {
        let norm = Norm { weight: vec![1.0, 1.0, 2.0, 1.0], bias: vec![0.0, 0.0, 0.0, 5.0], eps: 0.0 };
        let mut x = [0.0, 2.0, 0.0, 2.0, 5.0, 5.0, 7.0, 7.0];
        let mut out = [0.0; 8];
        norm.apply(&mut x, Some(&[1.0; 4]), &mut out);
        assert_eq!(out, [-1.0, 1.0, -2.0, 6.0, -1.0, -1.0, 2.0, 6.0]);
        assert_eq!(x, [1.0, 3.0, 1.0, 3.0, 6.0, 6.0, 8.0, 8.0]);
        norm.apply_in_place(&mut x);
        assert_eq!(x, out);
    }
}
