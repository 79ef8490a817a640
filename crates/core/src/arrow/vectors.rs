//! Columns of vectors: reading them, and the arithmetic between two vectors.

use arrow_array::{
    Array, ArrowPrimitiveType,
    cast::AsArray,
    types::{Float16Type, Float32Type, Float64Type},
};
use arrow_schema::DataType;
use pulp::Arch;

use super::lists::Lists;
use crate::{Error, ErrorKind, Result};

type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// A column of vectors: `FixedSizeList`, `List` or `LargeList` of `Float16`, `Float32` or `Float64`.
///
/// ```
/// use arrow_array::{ListArray, types::Float64Type};
/// use imbed_core::arrow::VectorColumn;
///
/// let rows = [Some(vec![Some(3.0), Some(4.0)]), None];
/// let array = ListArray::from_iter_primitive::<Float64Type, _, _>(rows);
/// let column = VectorColumn::try_new(&array)?;
/// assert_eq!(column.get(0).map(|vector| vector.norm()), Some(5.0));
/// assert!(column.get(1).is_none());
/// # Ok::<(), imbed_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct VectorColumn<'a> {
    array: &'a dyn Array,
    lists: Lists<'a>,
    numbers: Vector<'a>,
}

/// The numbers of one vector.
#[derive(Debug, Clone, Copy)]
pub enum Vector<'a> {
    /// Half precision.
    F16(&'a [Half]),
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
}

impl<'a> VectorColumn<'a> {
    /// A view of `array`; an error that names its type if that is not one of vectors.
    pub fn try_new(array: &'a dyn Array) -> Result<Self> {
        Lists::of(array)
            .and_then(|lists| Some(Self { array, lists, numbers: Vector::of(lists.values())? }))
            .ok_or_else(|| not_vectors(array.data_type()))
    }

    /// Whether a column of this type can be read.
    pub fn accepts(data_type: &DataType) -> bool {
        match data_type {
            DataType::FixedSizeList(item, _) | DataType::List(item) | DataType::LargeList(item) => {
                item.data_type().is_floating()
            }
            _ => false,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.array.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The vector of a row; `None` where it is null, where one of its numbers is null, or past the end.
    pub fn get(&self, row: usize) -> Option<Vector<'a>> {
        if row >= self.len() || self.array.is_null(row) {
            return None;
        }
        let range = self.lists.range(row);
        let values = self.lists.values();
        if values.null_count() > 0 && range.clone().any(|i| values.is_null(i)) {
            return None;
        }
        Some(match self.numbers {
            Vector::F16(numbers) => Vector::F16(&numbers[range]),
            Vector::F32(numbers) => Vector::F32(&numbers[range]),
            Vector::F64(numbers) => Vector::F64(&numbers[range]),
        })
    }

    /// All rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<Vector<'a>>> + use<'a> {
        let column = *self;
        (0..column.len()).map(move |row| column.get(row))
    }
}

fn not_vectors(data_type: &DataType) -> Error {
    Error::new(ErrorKind::BadInput, format!("a column of type {data_type} holds no vectors"))
        .hint("vectors come as FixedSizeList, List or LargeList of Float16, Float32 or Float64")
}

impl<'a> Vector<'a> {
    fn of(numbers: &'a dyn Array) -> Option<Self> {
        Some(match numbers.data_type() {
            DataType::Float16 => Self::F16(numbers.as_primitive_opt::<Float16Type>()?.values()),
            DataType::Float32 => Self::F32(numbers.as_primitive_opt::<Float32Type>()?.values()),
            DataType::Float64 => Self::F64(numbers.as_primitive_opt::<Float64Type>()?.values()),
            _ => return None,
        })
    }

    /// How many numbers.
    pub fn len(self) -> usize {
        match self {
            Self::F16(numbers) => numbers.len(),
            Self::F32(numbers) => numbers.len(),
            Self::F64(numbers) => numbers.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The inner product, summed in double precision. Numbers beyond the shorter vector's end count as 0.
    pub fn dot(self, other: Vector<'_>) -> f64 {
        self.fold(other, Product)
    }

    /// The square of the Euclidean distance, summed in double precision, over the length of the shorter vector.
    pub fn squared_distance(self, other: Vector<'_>) -> f64 {
        self.fold(other, SquaredDifference)
    }

    /// The Euclidean length, summed in double precision.
    pub fn norm(self) -> f64 {
        self.dot(self).sqrt()
    }

    /// The cosine of the angle to `other`; `None` where one of the two has no length and hence no direction.
    ///
    /// Rounding never takes it out of -1..=1.
    pub fn cosine(self, other: Vector<'_>) -> Option<f64> {
        let lengths = self.norm() * other.norm();
        (lengths != 0.0).then(|| (self.dot(other) / lengths).clamp(-1.0, 1.0))
    }

    /// The numbers times `factor`, computed in double precision.
    pub fn scaled(self, factor: f64) -> impl Iterator<Item = f32> {
        (0..self.len()).map(move |i| (self.number(i) * factor) as f32)
    }

    fn number(self, i: usize) -> f64 {
        match self {
            Self::F16(numbers) => numbers[i].into(),
            Self::F32(numbers) => numbers[i].into(),
            Self::F64(numbers) => numbers[i],
        }
    }

    fn fold(self, other: Vector<'_>, term: impl Term) -> f64 {
        match (self, other) {
            (Self::F32(a), Vector::F32(b)) => sum(a, b, term),
            (Self::F16(a), b) => b.fold_with(a, term),
            (Self::F32(a), b) => b.fold_with(a, term),
            (Self::F64(a), b) => b.fold_with(a, term),
        }
    }

    /// Both terms are symmetrical, so the sides may be exchanged.
    fn fold_with<T: Into<f64> + Copy>(self, other: &[T], term: impl Term) -> f64 {
        match self {
            Self::F16(numbers) => sum(numbers, other, term),
            Self::F32(numbers) => sum(numbers, other, term),
            Self::F64(numbers) => sum(numbers, other, term),
        }
    }
}

/// What is summed over the numbers of two vectors; the same whichever comes first.
trait Term: Copy {
    fn of(self, a: f64, b: f64) -> f64;
}

#[derive(Clone, Copy)]
struct Product;

#[derive(Clone, Copy)]
struct SquaredDifference;

impl Term for Product {
    #[inline]
    fn of(self, a: f64, b: f64) -> f64 {
        a * b
    }
}

impl Term for SquaredDifference {
    #[inline]
    fn of(self, a: f64, b: f64) -> f64 {
        (a - b) * (a - b)
    }
}

/// Sums that are added up side by side, so that a processor can add several at once.
const LANES: usize = 16;

/// The sum of `term` over pairs of numbers. The order of additions does not depend on the processor, and so neither do the bits.
fn sum<A: Into<f64> + Copy, B: Into<f64> + Copy>(a: &[A], b: &[B], term: impl Term) -> f64 {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let common = a.len().min(b.len());
            let ((a, a_rest), (b, b_rest)) = (a[..common].as_chunks::<LANES>(), b[..common].as_chunks::<LANES>());
            let mut sums = [0.0; LANES];
            for (a, b) in a.iter().zip(b) {
                for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
                    *sum += term.of((*a).into(), (*b).into());
                }
            }
            let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| term.of((*a).into(), (*b).into())).sum();
            sums.iter().sum::<f64>() + rest
        },
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, FixedSizeListArray, Float32Array, Int64Array, LargeListArray, ListArray, PrimitiveArray,
    };
    use arrow_buffer::NullBuffer;
    use arrow_schema::Field;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_list_and_float_type_gives_its_rows_also_when_sliced() {
        let rows =
            [Some(vec![Some(1.0), Some(2.0)]), None, Some(vec![Some(3.0), None]), Some(vec![Some(4.0), Some(0.5)])];
        let wanted = [Some(vec![1.0, 2.0]), None, None, Some(vec![4.0, 0.5])];
        let half = |n: f64| Half::from_f32(n as f32);
        let halves = rows.clone().map(|row| row.map(|row| row.into_iter().map(|n| n.map(half)).collect::<Vec<_>>()));
        let singles =
            rows.clone().map(|row| row.map(|row| row.into_iter().map(|n| n.map(|n| n as f32)).collect::<Vec<_>>()));
        let arrays: [ArrayRef; 4] = [
            Arc::new(ListArray::from_iter_primitive::<Float16Type, _, _>(halves)),
            Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(singles, 2)),
            Arc::new(LargeListArray::from_iter_primitive::<Float64Type, _, _>(rows.clone())),
            Arc::new(FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(rows, 2)),
        ];
        let read = |array: &dyn Array| -> Vec<Option<Vec<f64>>> {
            let column = VectorColumn::try_new(array).unwrap();
            column.iter().map(|v| v.map(|v| (0..v.len()).map(|i| v.number(i)).collect())).collect()
        };
        for array in arrays {
            assert!(VectorColumn::accepts(array.data_type()));
            assert_eq!(read(&array), wanted, "{}", array.data_type());
            assert_eq!(read(&array.slice(1, 3)), wanted[1..], "{}", array.data_type());
        }
    }

    #[test]
    fn another_type_is_named() {
        let numbers = Int64Array::from(vec![1]);
        assert!(VectorColumn::try_new(&numbers).unwrap_err().message().contains("Int64"));
        let item = Arc::new(Field::new("item", DataType::Int64, true));
        let lists = FixedSizeListArray::new(item, 1, Arc::new(numbers), None::<NullBuffer>);
        assert!(!VectorColumn::accepts(lists.data_type()));
        assert!(VectorColumn::try_new(&lists).is_err());
    }

    #[test]
    fn a_vector_without_length_has_no_cosine() {
        assert_eq!(Vector::F32(&[0.0; 3]).cosine(Vector::F32(&[1.0; 3])), None);
        assert_eq!(Vector::F32(&[2.0; 3]).cosine(Vector::F64(&[3.0; 3])), Some(1.0));
    }

    /// The numbers and what a plain loop makes of them.
    fn plain(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
        a.iter().zip(b).map(|(a, b)| term(f64::from(*a), f64::from(*b))).sum()
    }

    proptest! {
        #[test]
        fn sums_are_those_of_a_plain_loop(pairs in prop::collection::vec((-9.0f32..9.0, -9.0f32..9.0), 0..70)) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let wide: PrimitiveArray<Float64Type> = b.iter().map(|n| Some(f64::from(*n))).collect();
            let near = |x: f64, y: f64| (x - y).abs() <= 1e-9 * (1.0 + y.abs());
            let left = Vector::F32(&a);
            for right in [Vector::F32(&b), Vector::F64(wide.values())] {
                prop_assert!(near(left.dot(right), plain(&a, &b, |a, b| a * b)));
                prop_assert!(near(left.squared_distance(right), plain(&a, &b, |a, b| (a - b) * (a - b))));
                prop_assert_eq!(left.dot(right), right.dot(left));
            }
            let scaled: Vec<f32> = left.scaled(0.5).collect();
            prop_assert_eq!(scaled, a.iter().map(|n| n * 0.5).collect::<Vec<_>>());
            prop_assert!(near(left.norm(), plain(&a, &a, |a, b| a * b).sqrt()));
        }
    }

    #[test]
    fn a_column_of_floats_is_no_column_of_vectors() {
        assert!(VectorColumn::try_new(&Float32Array::from(vec![1.0])).is_err());
    }
}
