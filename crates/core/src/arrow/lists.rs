//! Lists of samples in any of Arrow's list types.

use std::ops::Range;

use arrow_array::{
    Array, FixedSizeListArray, LargeListArray, ListArray,
    cast::AsArray,
    types::{Float32Type, UInt8Type, UInt16Type},
};
use arrow_schema::DataType;

use crate::image::{SampleType, Samples};

/// A column of lists.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lists<'a> {
    Small(&'a ListArray),
    Large(&'a LargeListArray),
    Fixed(&'a FixedSizeListArray),
}

impl<'a> Lists<'a> {
    pub(super) fn of(array: &'a dyn Array) -> Option<Self> {
        match array.data_type() {
            DataType::List(_) => array.as_list_opt().map(Self::Small),
            DataType::LargeList(_) => array.as_list_opt().map(Self::Large),
            DataType::FixedSizeList(..) => array.as_fixed_size_list_opt().map(Self::Fixed),
            _ => None,
        }
    }

    pub(super) fn values(self) -> &'a dyn Array {
        match self {
            Self::Small(lists) => lists.values(),
            Self::Large(lists) => lists.values(),
            Self::Fixed(lists) => lists.values(),
        }
    }

    pub(super) fn is_null(self, row: usize) -> bool {
        match self {
            Self::Small(lists) => lists.is_null(row),
            Self::Large(lists) => lists.is_null(row),
            Self::Fixed(lists) => lists.is_null(row),
        }
    }

    /// Where in the values the list of `row` lies.
    pub(super) fn range(self, row: usize) -> Range<usize> {
        match self {
            Self::Small(lists) => lists.value_offsets()[row] as usize..lists.value_offsets()[row + 1] as usize,
            Self::Large(lists) => lists.value_offsets()[row] as usize..lists.value_offsets()[row + 1] as usize,
            Self::Fixed(lists) => {
                let size = lists.value_length() as usize;
                row * size..(row + 1) * size
            }
        }
    }
}

/// The values of lists of samples, without nulls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values<'a> {
    U8(&'a [u8]),
    U16(&'a [u16]),
    F32(&'a [f32]),
}

impl<'a> Values<'a> {
    /// `None` for a type that no sample has, or where a value is null.
    pub(super) fn of(array: &'a dyn Array) -> Option<Self> {
        if array.null_count() > 0 {
            return None;
        }
        Some(match array.data_type() {
            DataType::UInt8 => Self::U8(array.as_primitive_opt::<UInt8Type>()?.values()),
            DataType::UInt16 => Self::U16(array.as_primitive_opt::<UInt16Type>()?.values()),
            DataType::Float32 => Self::F32(array.as_primitive_opt::<Float32Type>()?.values()),
            _ => return None,
        })
    }

    pub(super) fn sample_type(self) -> SampleType {
        match self {
            Self::U8(_) => SampleType::U8,
            Self::U16(_) => SampleType::U16,
            Self::F32(_) => SampleType::F32,
        }
    }

    pub(super) fn samples(self, range: Range<usize>) -> Samples {
        match self {
            Self::U8(values) => Samples::U8(values[range].to_vec()),
            Self::U16(values) => Samples::U16(values[range].to_vec()),
            Self::F32(values) => Samples::F32(values[range].to_vec()),
        }
    }
}
