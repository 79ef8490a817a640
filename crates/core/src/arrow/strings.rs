//! Any column of text, row by row.

use arrow_array::{AnyDictionaryArray, Array, LargeStringArray, StringArray, StringViewArray, cast::AsArray};
use arrow_schema::DataType;

use crate::{Error, ErrorKind, Result};

/// A column of paths, URLs or keys, whichever of Arrow's text types it has, dictionaries of them included.
#[derive(Debug, Clone, Copy)]
pub struct StringsColumn<'a> {
    values: Values<'a>,
    dictionary: Option<&'a dyn AnyDictionaryArray>,
}

#[derive(Debug, Clone, Copy)]
enum Values<'a> {
    Utf8(&'a StringArray),
    Large(&'a LargeStringArray),
    View(&'a StringViewArray),
}

impl<'a> StringsColumn<'a> {
    /// A view of `array`; an error that names its type if that is not one of text.
    pub fn try_new(array: &'a dyn Array) -> Result<Self> {
        let dictionary = array.as_any_dictionary_opt();
        let values = dictionary.map_or(array, |d| d.values().as_ref());
        let values = match values.data_type() {
            DataType::Utf8 => values.as_string_opt().map(Values::Utf8),
            DataType::LargeUtf8 => values.as_string_opt().map(Values::Large),
            DataType::Utf8View => values.as_string_view_opt().map(Values::View),
            _ => None,
        };
        let values = values.ok_or_else(|| {
            Error::new(ErrorKind::BadInput, format!("a column of type {} holds no text", array.data_type()))
                .hint("paths and URLs come as Utf8, LargeUtf8, Utf8View or a dictionary of one of them")
        })?;
        Ok(Self { values, dictionary })
    }

    /// Whether a column of this type can be read.
    pub fn accepts(data_type: &DataType) -> bool {
        match data_type {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
            DataType::Dictionary(_, values) => Self::accepts(values),
            _ => false,
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.dictionary.map_or_else(|| self.array().len(), Array::len)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text of a row; `None` where it is null or past the end.
    pub fn get(&self, row: usize) -> Option<&'a str> {
        if row >= self.len() {
            return None;
        }
        let row = match self.dictionary {
            Some(dictionary) if dictionary.is_null(row) => return None,
            Some(dictionary) => key(dictionary.keys(), row)?,
            None => row,
        };
        if row >= self.array().len() || self.array().is_null(row) {
            return None;
        }
        Some(match self.values {
            Values::Utf8(array) => array.value(row),
            Values::Large(array) => array.value(row),
            Values::View(array) => array.value(row),
        })
    }

    /// All rows in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&'a str>> + use<'a> {
        let column = *self;
        (0..column.len()).map(move |row| column.get(row))
    }

    fn array(&self) -> &'a dyn Array {
        match self.values {
            Values::Utf8(array) => array,
            Values::Large(array) => array,
            Values::View(array) => array,
        }
    }
}

/// The dictionary key in `keys[row]`.
fn key(keys: &dyn Array, row: usize) -> Option<usize> {
    use arrow_array::types::{
        Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    };
    match keys.data_type() {
        DataType::Int8 => keys.as_primitive::<Int8Type>().value(row).try_into().ok(),
        DataType::Int16 => keys.as_primitive::<Int16Type>().value(row).try_into().ok(),
        DataType::Int32 => keys.as_primitive::<Int32Type>().value(row).try_into().ok(),
        DataType::Int64 => keys.as_primitive::<Int64Type>().value(row).try_into().ok(),
        DataType::UInt8 => Some(keys.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => Some(keys.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => keys.as_primitive::<UInt32Type>().value(row).try_into().ok(),
        DataType::UInt64 => keys.as_primitive::<UInt64Type>().value(row).try_into().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        BinaryArray, DictionaryArray,
        types::{Int8Type, UInt64Type},
    };

    use super::*;

    #[test]
    fn every_text_type_gives_the_same_rows_also_when_sliced() {
        let rows = [Some("a"), None, Some("bcd"), Some("a"), Some("")];
        let arrays: [Box<dyn Array>; 5] = [
            Box::new(StringArray::from_iter(rows)),
            Box::new(LargeStringArray::from_iter(rows)),
            Box::new(StringViewArray::from_iter(rows)),
            Box::new(rows.into_iter().collect::<DictionaryArray<Int8Type>>()),
            Box::new(rows.into_iter().collect::<DictionaryArray<UInt64Type>>()),
        ];
        for array in arrays {
            assert!(StringsColumn::accepts(array.data_type()));
            assert!(StringsColumn::try_new(array.as_ref()).unwrap().iter().eq(rows), "{}", array.data_type());
            let slice = array.slice(1, 3);
            assert!(
                StringsColumn::try_new(&slice).unwrap().iter().eq(rows[1..4].iter().copied()),
                "{}",
                array.data_type()
            );
        }
    }

    #[test]
    fn another_type_is_named() {
        let array = BinaryArray::from_opt_vec(vec![Some(b"path")]);
        let error = StringsColumn::try_new(&array).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadInput);
        assert!(error.message().contains("Binary"), "{error}");
    }
}
