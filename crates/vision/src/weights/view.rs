//! Where one tensor lies in a file, and in which order its elements stand there.

use std::{borrow::Cow, ops::Range, sync::Arc};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::Dtype;

use crate::array::Mapped;

/// A tensor's elements within a file: element `[i, j, ..]` stands at `start + (i * strides[0] + j * strides[1] + ..) * size`.
///
/// Strides let one tensor be seen as several, or turned over, without its bytes being moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// In elements, one for each axis.
    strides: Vec<usize>,
    /// Within the file, in bytes.
    start: usize,
}

impl View {
    /// A tensor whose rows stand one after another from `start`, as safetensors stores them all.
    pub(crate) fn contiguous(dtype: Dtype, shape: Vec<usize>, start: usize) -> Self {
        let mut strides = vec![1_usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
        }
        Self { dtype, shape, strides, start }
    }

    /// A tensor over `storage`, a range of the file, that begins `offset` elements into it; says why not if it leaves it.
    pub(super) fn strided(
        dtype: Dtype,
        shape: Vec<usize>,
        strides: Vec<usize>,
        offset: usize,
        storage: Range<usize>,
    ) -> Result<Self, String> {
        let size = dtype.bitsize() / 8;
        let elements = storage.len().checked_div(size).unwrap_or(0);
        let leaves =
            || format!("shape {shape:?}, strides {strides:?} and offset {offset} leave its {elements} elements");
        if shape.len() != strides.len() {
            return Err(format!("shape {shape:?} and strides {strides:?} are of different lengths"));
        }
        let count =
            if shape.contains(&0) { Some(0) } else { shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side)) };
        let count = count.ok_or_else(leaves)?;
        if count > elements {
            // More elements than are stored can only be the same ones over again. No layer's weights are, and the
            // memory to read them into would not be bounded by the file.
            return Err(format!("shape {shape:?} has more elements than the {elements} that are stored"));
        }
        let mut last = Some(offset);
        for (side, stride) in shape.iter().zip(&strides) {
            last = side.saturating_sub(1).checked_mul(*stride).and_then(|step| last?.checked_add(step));
        }
        let end = if count == 0 { Some(offset) } else { last.and_then(|last| last.checked_add(1)) };
        if end.is_none_or(|end| end > elements) {
            return Err(leaves());
        }
        Ok(Self { dtype, start: storage.start + offset * size, shape, strides })
    }

    /// The part `index` of three equal ones along the first axis: queries, keys or values of a joint product.
    pub(crate) fn third(mut self, index: usize) -> Self {
        if let (Some(rows), Some(stride)) = (self.shape.first_mut(), self.strides.first()) {
            *rows /= 3;
            self.start += index * *rows * stride * self.dtype.bitsize() / 8;
        }
        self
    }

    /// The same tensor with its axes in reverse order.
    pub(crate) fn transposed(mut self) -> Self {
        self.shape.reverse();
        self.strides.reverse();
        self
    }

    /// The elements in row order, as f32, or `None` for a type that weights are not stored in.
    pub(super) fn values(&self, file: &[u8]) -> Option<Vec<f32>> {
        match self.dtype {
            Dtype::F32 | Dtype::F16 | Dtype::BF16 => to_f32(&self.bytes(file), self.dtype),
            _ => None,
        }
    }

    /// The elements where they lie in a mapped file, if they are f32 in row order.
    pub(super) fn mapped(&self, map: &Arc<Mmap>) -> Option<Mapped> {
        let count: usize = self.shape.iter().product();
        let whole = self.dtype == Dtype::F32 && count > 0 && self.is_contiguous();
        whole.then(|| Mapped::new(map, self.start..self.start + count * size_of::<f32>())).flatten()
    }

    /// The elements in row order, as they are stored.
    pub(super) fn bytes<'a>(&self, file: &'a [u8]) -> Cow<'a, [u8]> {
        let size = self.dtype.bitsize() / 8;
        if self.shape.contains(&0) {
            return Cow::Borrowed(&[]);
        }
        let count: usize = self.shape.iter().product();
        if self.is_contiguous() {
            return Cow::Borrowed(file.get(self.start..self.start + count * size).unwrap_or_default());
        }
        let mut out = Vec::with_capacity(count * size);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..count {
            let element: usize = index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum();
            let at = self.start + element * size;
            out.extend_from_slice(file.get(at..at + size).unwrap_or_default());
            for (i, side) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *side {
                    break;
                }
                *i = 0;
            }
        }
        Cow::Owned(out)
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        for (side, stride) in self.shape.iter().zip(&self.strides).rev() {
            // torch writes any stride for an axis along which there is no step.
            if *side != 1 && *stride != expected {
                return false;
            }
            expected *= side;
        }
        true
    }
}

/// Little-endian bytes of `dtype` as f32, or `None` for a type that weights are not stored in.
fn to_f32(bytes: &[u8], dtype: Dtype) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F16 => bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve numbers, 0 to 11, after four bytes of something else.
    fn file() -> Vec<u8> {
        let mut bytes = vec![9; 4];
        bytes.extend((0..12).flat_map(|i| (i as f32).to_le_bytes()));
        bytes
    }

    fn strided(shape: &[usize], strides: &[usize], offset: usize) -> Result<View, String> {
        View::strided(Dtype::F32, shape.to_vec(), strides.to_vec(), offset, 4..52)
    }

    #[test]
    fn half_precision_is_widened_exactly() {
        assert_eq!(to_f32(&f16::from_f32(0.1).to_le_bytes(), Dtype::F16).unwrap(), [f16::from_f32(0.1).to_f32()]);
        assert_eq!(to_f32(&bf16::from_f32(-3.3).to_le_bytes(), Dtype::BF16).unwrap(), [bf16::from_f32(-3.3).to_f32()]);
        assert!(to_f32(&[0; 8], Dtype::I64).is_none());
    }

    #[test]
    fn strides_and_offset_are_followed() {
        let read =
            |shape: &[usize], strides: &[usize], offset| strided(shape, strides, offset).unwrap().values(&file());
        assert_eq!(read(&[2, 3], &[3, 1], 0).unwrap(), [0., 1., 2., 3., 4., 5.]);
        assert_eq!(read(&[2, 3], &[1, 2], 0).unwrap(), [0., 2., 4., 1., 3., 5.]);
        assert_eq!(read(&[2, 2], &[6, 2], 3).unwrap(), [3., 5., 9., 11.]);
        assert_eq!(read(&[1, 3], &[77, 1], 9).unwrap(), [9., 10., 11.]);
        assert_eq!(read(&[], &[], 11).unwrap(), [11.]);
        assert_eq!(read(&[0, 3], &[3, 1], 12).unwrap(), Vec::<f32>::new());
    }

    #[test]
    fn a_tensor_that_leaves_its_storage_is_refused() {
        for (shape, strides, offset) in [
            (vec![13], vec![1], 0),
            (vec![12], vec![1], 1),
            (vec![2, 2], vec![11, 1], 0),
            (vec![2], vec![usize::MAX], 1),
            (vec![usize::MAX, usize::MAX], vec![0, 0], 0),
            (vec![1 << 40], vec![0], 0),
            (vec![0], vec![1], 13),
            (vec![2, 3], vec![1], 0),
        ] {
            assert!(strided(&shape, &strides, offset).is_err(), "{shape:?} {strides:?} {offset}");
        }
    }

    #[test]
    fn thirds_and_transposes_are_views_of_the_same_bytes() {
        let whole = View::contiguous(Dtype::F32, vec![6, 2], 4);
        assert_eq!(whole.clone().third(1).values(&file()).unwrap(), [4., 5., 6., 7.]);
        let turned = whole.transposed();
        assert_eq!(turned.shape, [2, 6]);
        assert_eq!(turned.values(&file()).unwrap(), [0., 2., 4., 6., 8., 10., 1., 3., 5., 7., 9., 11.]);
    }
}
