//! From the model's vectors to the user's: checked, cut, and scaled to unit length.

use imbed_core::{EmbedOptions, Error, ErrorKind, ImageEmbedderDescriptor, Result};

/// What is done to every vector as it leaves the model. The same for every provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finish {
    /// Numbers per vector as the model gives them.
    pub(crate) width: usize,
    /// Numbers per vector as the user gets them; at most `width`.
    pub(crate) size: usize,
    normalize: bool,
}

impl Finish {
    /// What `descriptor` promises, over vectors of `width` numbers.
    pub(crate) fn new(descriptor: &dyn ImageEmbedderDescriptor, width: usize) -> Result<Self> {
        let size = descriptor.dimensions().size;
        if size == 0 || size > width || (size < width && descriptor.options().dimensions.is_none()) {
            return Err(Error::new(
                ErrorKind::Dimensions,
                format!("the model '{}' was announced with {size} dimensions but gives {width}", descriptor.model()),
            ));
        }
        Ok(Self { width, size, normalize: scales(descriptor.options()) })
    }

    /// Finishes one vector of `width` numbers into `out`, which has `size`.
    ///
    /// A number that is not finite, or a zero vector that cannot be scaled, is an error of this row.
    pub(crate) fn row(&self, vector: &[f32], out: &mut [f32]) -> Result<()> {
        let kept = &vector[..self.size];
        if let Some(i) = kept.iter().position(|x| !x.is_finite()) {
            return Err(Error::new(
                ErrorKind::Model,
                format!("the model gave {} as number {i} of the vector", kept[i]),
            ));
        }
        if !self.normalize {
            out.copy_from_slice(kept);
            return Ok(());
        }
        let norm = kept.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        if norm == 0.0 {
            return Err(Error::new(ErrorKind::Model, "the model gave a zero vector, which has no unit length"));
        }
        for (out, x) in out.iter_mut().zip(kept) {
            *out = (f64::from(*x) / norm) as f32;
        }
        Ok(())
    }
}

/// Whether vectors are scaled after the model: where asked for, and where a cut has taken their length from them.
fn scales(options: &EmbedOptions) -> bool {
    options.normalize.unwrap_or(options.dimensions.is_some())
}

/// Whether the vectors that reach the user have unit length.
pub(crate) fn unit_length(descriptor: &dyn ImageEmbedderDescriptor) -> bool {
    let options = descriptor.options();
    scales(options) || (descriptor.capability().normalized && options.dimensions.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(width: usize, size: usize, normalize: bool) -> Finish {
        Finish { width, size, normalize }
    }

    #[test]
    fn vectors_pass_through_untouched_unless_asked() {
        let mut out = [0.0; 2];
        finish(2, 2, false).row(&[3.0, 4.0], &mut out).unwrap();
        assert_eq!(out, [3.0, 4.0]);
    }

    #[test]
    fn a_cut_vector_has_unit_length_again() {
        let mut out = [0.0; 2];
        finish(3, 2, true).row(&[3.0, 4.0, 100.0], &mut out).unwrap();
        assert_eq!(out, [0.6, 0.8]);
    }

    #[test]
    fn numbers_that_are_not_finite_and_zero_vectors_are_row_errors() {
        let mut out = [0.0; 1];
        assert_eq!(finish(1, 1, false).row(&[f32::NAN], &mut out).unwrap_err().kind(), ErrorKind::Model);
        assert_eq!(finish(1, 1, true).row(&[0.0], &mut out).unwrap_err().kind(), ErrorKind::Model);
        assert!(finish(1, 1, false).row(&[0.0], &mut out).is_ok());
    }
}
