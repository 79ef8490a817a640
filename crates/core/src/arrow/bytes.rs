//! Any column of bytes, row by row.

use arrow_array::{
    Array, BinaryArray, BinaryViewArray, FixedSizeBinaryArray, LargeBinaryArray,
    cast::AsArray,
    types::{BinaryType, LargeBinaryType},
};
use arrow_schema::DataType;

use crate::{Error, ErrorKind, Result};

/// A column of encoded images or other bytes, whichever of Arrow's binary types it has.
///
/// ```
/// use arrow_array::LargeBinaryArray;
/// use imbed_core::arrow::BytesColumn;
///
/// let array = LargeBinaryArray::from_opt_vec(vec![Some(b"one"), None]);
/// let column = BytesColumn::try_new(&array)?;
/// assert_eq!(column.iter().collect::<Vec<_>>(), [Some(&b"one"[..]), None]);
/// # Ok::<(), imbed_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct BytesColumn<'a> {
    inner: Inner<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Inner<'a> {
    Binary(&'a BinaryArray),
    Large(&'a LargeBinaryArray),
    View(&'a BinaryViewArray),
    FixedSize(&'a FixedSizeBinaryArray),
}

impl<'a> BytesColumn<'a> {
    /// A view of `array`; an error that names its type if that is not a binary one.
    pub fn try_new(array: &'a dyn Array) -> Result<Self> {
        let inner = match array.data_type() {
            DataType::Binary => array.as_bytes_opt::<BinaryType>().map(Inner::Binary),
            DataType::LargeBinary => array.as_bytes_opt::<LargeBinaryType>().map(Inner::Large),
            DataType::BinaryView => array.as_binary_view_opt().map(Inner::View),
            DataType::FixedSizeBinary(_) => array.as_fixed_size_binary_opt().map(Inner::FixedSize),
            _ => None,
        };
        let inner = inner.ok_or_else(|| {
            Error::new(ErrorKind::BadInput, format!("a column of type {} holds no bytes", array.data_type()))
                .hint("encoded images come as Binary, LargeBinary, BinaryView or FixedSizeBinary")
        })?;
        Ok(Self { inner })
    }

    /// Whether a column of this type can be read.
    pub fn accepts(data_type: &DataType) -> bool {
        matches!(
            data_type,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
        )
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.array().len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a row; `None` where it is null or past the end.
    pub fn get(&self, row: usize) -> Option<&'a [u8]> {
        if row >= self.len() || self.array().is_null(row) {
            return None;
        }
        Some(match self.inner {
            Inner::Binary(array) => array.value(row),
            Inner::Large(array) => array.value(row),
            Inner::View(array) => array.value(row),
            Inner::FixedSize(array) => array.value(row),
        })
    }

    /// All rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&'a [u8]>> + use<'a> {
        let column = *self;
        (0..column.len()).map(move |row| column.get(row))
    }

    fn array(&self) -> &'a dyn Array {
        match self.inner {
            Inner::Binary(array) => array,
            Inner::Large(array) => array,
            Inner::View(array) => array,
            Inner::FixedSize(array) => array,
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Int32Array;

    use super::*;

    #[test]
    fn every_binary_type_gives_the_same_rows_also_when_sliced() {
        let rows = [Some(&b"ab"[..]), None, Some(b"cd"), Some(b"ef")];
        let arrays: [Box<dyn Array>; 4] = [
            Box::new(BinaryArray::from_iter(rows)),
            Box::new(LargeBinaryArray::from_iter(rows)),
            Box::new(BinaryViewArray::from_iter(rows)),
            Box::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(rows.into_iter(), 2).unwrap()),
        ];
        for array in arrays {
            assert!(BytesColumn::accepts(array.data_type()));
            assert!(BytesColumn::try_new(array.as_ref()).unwrap().iter().eq(rows), "{}", array.data_type());
            let slice = array.slice(1, 2);
            assert!(
                BytesColumn::try_new(&slice).unwrap().iter().eq(rows[1..3].iter().copied()),
                "{}",
                array.data_type()
            );
        }
    }

    #[test]
    fn another_type_is_named() {
        let array = Int32Array::from(vec![1]);
        let error = BytesColumn::try_new(&array).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput);
        assert!(error.message().contains("Int32"), "{error}");
    }
}
