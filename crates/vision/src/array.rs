//! Numbers with a shape, and the little that reading a checkpoint does with them.

mod numbers;

use imbed_core::{Error, ErrorKind, Result};

pub(crate) use numbers::{Mapped, Numbers};

/// Numbers in row order, with the length of each axis.
///
/// ```
/// use imbed_vision::Array;
///
/// let table = Array::new(&[3, 2], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0])?;
/// let (first, others) = table.split_rows(1)?;
/// assert_eq!((first.shape(), others.values()), (&[1, 2][..], &[2.0, 3.0, 4.0, 5.0][..]));
/// # Ok::<(), imbed_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Array {
    shape: Vec<usize>,
    /// Those of a checkpoint stay in its mapped file until somebody changes them.
    values: Numbers,
}

impl PartialEq for Array {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.values() == other.values()
    }
}

impl Array {
    /// `values` as an array of this shape; an error where they are too many or too few.
    pub fn new(shape: &[usize], values: Vec<f32>) -> Result<Self> {
        Self::of(shape, values.into())
    }

    /// The same of numbers that may lie elsewhere.
    pub(crate) fn of(shape: &[usize], values: Numbers) -> Result<Self> {
        let array = Self { shape: vec![values.get().len()], values };
        array.reshaped(shape)
    }

    /// Zeros of this shape.
    pub fn zeros(shape: Vec<usize>) -> Self {
        let values = vec![0.0; shape.iter().product()];
        Self { shape, values: values.into() }
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers, row by row.
    pub fn values(&self) -> &[f32] {
        self.values.get()
    }

    /// The numbers, row by row; without a copy, unless they lie in a file.
    pub fn into_values(self) -> Vec<f32> {
        self.values.into_vec()
    }

    /// The same numbers in another shape.
    pub fn reshaped(self, shape: &[usize]) -> Result<Self> {
        // More than memory holds is no shape of any array.
        let numbers = shape.iter().try_fold(1_usize, |numbers, length| numbers.checked_mul(*length));
        if numbers != Some(self.values().len()) {
            return Err(unfit(&format!("{:?} cannot be seen as {shape:?}", self.shape)));
        }
        Ok(Self { shape: shape.to_vec(), values: self.values })
    }

    /// The first `rows` along the first axis, and the others.
    pub fn split_rows(mut self, rows: usize) -> Result<(Self, Self)> {
        let (all, width) = self.rows()?;
        if rows > all {
            return Err(unfit(&format!("{rows} rows cannot be cut from {:?}", self.shape)));
        }
        let (values, others) = self.values.split_at(rows * width);
        let mut shape = self.shape.clone();
        (self.shape[0], shape[0]) = (rows, all - rows);
        Ok((Self { shape: self.shape, values }, Self { shape, values: others }))
    }

    /// The rows of this array, and below them those of `other`.
    pub fn above(mut self, other: Self) -> Result<Self> {
        self.rows()?;
        if self.shape[1..] != other.shape.get(1..).unwrap_or_default()[..] || other.shape.is_empty() {
            return Err(unfit(&format!("{:?} cannot stand below {:?}", other.shape, self.shape)));
        }
        self.shape[0] += other.shape[0];
        if self.values().is_empty() {
            return Ok(Self { shape: self.shape, values: other.values });
        }
        let mut values = self.values.into_vec();
        values.extend(other.values());
        Ok(Self { shape: self.shape, values: values.into() })
    }

    /// Each number of row `i` times number `i` of `scale`.
    pub fn scaled_rows(self, scale: &Self) -> Result<Self> {
        let (rows, width) = self.rows()?;
        if scale.values().len() != rows {
            return Err(unfit(&format!("{:?} is not one number for each row of {:?}", scale.shape, self.shape)));
        }
        let mut values = self.values.into_vec();
        for (row, scale) in values.chunks_exact_mut(width.max(1)).zip(scale.values()) {
            for x in row {
                *x *= scale;
            }
        }
        Ok(Self { shape: self.shape, values: values.into() })
    }

    /// The sum with `other`, number by number.
    pub fn plus(self, other: &Self) -> Result<Self> {
        if self.shape != other.shape {
            return Err(unfit(&format!("{:?} cannot be added to {:?}", other.shape, self.shape)));
        }
        let mut values = self.values.into_vec();
        values.iter_mut().zip(other.values()).for_each(|(x, y)| *x += y);
        Ok(Self { shape: self.shape, values: values.into() })
    }

    /// The length of the first axis, and the numbers of one of its rows.
    fn rows(&self) -> Result<(usize, usize)> {
        match self.shape.as_slice() {
            [] => Err(unfit("a single number has no rows")),
            [rows, others @ ..] => Ok((*rows, others.iter().product())),
        }
    }
}

fn unfit(why: &str) -> Error {
    Error::new(ErrorKind::Model, format!("the weights do not fit together: {why}"))
        .hint("compare config.json with the published checkpoint's")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(shape: &[usize]) -> Array {
        Array::new(shape, (0..shape.iter().product()).map(|i: usize| i as f32).collect()).unwrap()
    }

    #[test]
    fn rows_are_cut_and_put_together_again() {
        let (first, others) = counted(&[3, 2, 2]).split_rows(1).unwrap();
        assert_eq!((first.shape(), others.shape()), (&[1, 2, 2][..], &[2, 2, 2][..]));
        assert_eq!(first.above(others).unwrap(), counted(&[3, 2, 2]));
        let (none, all) = counted(&[2, 2]).split_rows(0).unwrap();
        assert_eq!((none.values().len(), all), (0, counted(&[2, 2])));
    }

    #[test]
    fn sums_and_scales_are_taken_number_by_number() {
        let scale = Array::new(&[2], vec![10.0, -1.0]).unwrap();
        assert_eq!(counted(&[2, 2]).scaled_rows(&scale).unwrap().values(), [0.0, 10.0, -2.0, -3.0]);
        assert_eq!(counted(&[2]).scaled_rows(&scale).unwrap().values(), [0.0, -1.0]);
        assert_eq!(counted(&[2, 2]).plus(&counted(&[2, 2])).unwrap().values(), [0.0, 2.0, 4.0, 6.0]);
    }

    #[test]
    fn what_does_not_fit_is_an_error_with_both_shapes() {
        for error in [
            Array::new(&[2, 2], vec![0.0; 3]).unwrap_err(),
            Array::new(&[usize::MAX, 2], vec![]).unwrap_err(),
            counted(&[2, 2]).split_rows(3).unwrap_err(),
            counted(&[2, 2]).above(counted(&[2, 3])).unwrap_err(),
            counted(&[2, 2]).above(counted(&[])).unwrap_err(),
            counted(&[]).split_rows(0).unwrap_err(),
            counted(&[2, 2]).scaled_rows(&counted(&[3])).unwrap_err(),
            counted(&[2, 2]).plus(&counted(&[4])).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Model, "{error}");
        }
    }
}
