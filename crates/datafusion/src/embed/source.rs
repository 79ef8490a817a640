//! What `embed_image` takes as images.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray, cast::AsArray};
use arrow_schema::{DataType, Field};
use imbed_core::{
    Error, ErrorKind, Result,
    arrow::{BytesColumn, ImageColumn, StringsColumn},
};
use imbed_engine::Images;

use crate::table::absolute;

/// How a column holds its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Files in a binary column.
    Encoded,
    /// Paths of local files.
    Paths,
    /// A structure of `bytes` and `path`, as Hugging Face `datasets` stores images.
    BytesOrPaths,
    /// Pixels.
    Decoded,
}

impl Source {
    /// How a column with this field holds images; an error if it holds none.
    pub(crate) fn of(field: &Field) -> Result<Self> {
        let data_type = field.data_type();
        if BytesColumn::accepts(data_type) {
            return Ok(Self::Encoded);
        }
        if StringsColumn::accepts(data_type) {
            return Ok(Self::Paths);
        }
        if let DataType::Struct(fields) = data_type {
            let is = |name: &str, accepts: fn(&DataType) -> bool| {
                fields.find(name).is_some_and(|(_, field)| accepts(field.data_type()))
            };
            if is("bytes", BytesColumn::accepts) && is("path", StringsColumn::accepts) {
                return Ok(Self::BytesOrPaths);
            }
        }
        if ImageColumn::accepts(field) {
            return Ok(Self::Decoded);
        }
        let what = format!("the column '{}' of type {data_type} holds no images", field.name());
        Err(Error::new(ErrorKind::BadInput, what).hint(
            "images come as bytes, as paths of local files, as a structure of bytes and path, or decoded by \
                 decode_image(…)",
        ))
    }

    /// The images of `array`, whose field is `field`; relative paths start from `base`, or else from this process's folder.
    pub(crate) fn images(self, array: ArrayRef, field: &Arc<Field>, base: Option<&str>) -> Result<Images> {
        Ok(match self {
            Self::Encoded => Images::Encoded(array),
            Self::Paths => Images::Paths(from(base, array)?),
            Self::Decoded => Images::Decoded { array, field: Arc::clone(field) },
            Self::BytesOrPaths => {
                let columns = array.as_struct_opt();
                let column = |name: &str| columns.and_then(|columns| columns.column_by_name(name)).cloned();
                let (bytes, paths) = column("bytes").zip(column("path")).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Internal,
                        format!("a column of type {} has no bytes and path", array.data_type()),
                    )
                })?;
                let paths = from(base, paths)?;
                match array.nulls() {
                    None => Images::BytesOrPaths { bytes, paths },
                    // A null row may have values beneath it.
                    Some(nulls) => {
                        Images::BytesOrPaths { bytes: masked(&bytes, nulls)?, paths: masked(&paths, nulls)? }
                    }
                }
            }
        })
    }
}

/// `paths` as they are reached from `base`.
fn from(base: Option<&str>, paths: ArrayRef) -> Result<ArrayRef> {
    if base.is_none() {
        return Ok(paths);
    }
    let column = StringsColumn::try_new(&paths)?;
    let reached = (0..column.len()).map(|row| column.get(row).map(|path| absolute(base, path)));
    Ok(Arc::new(reached.collect::<StringArray>()))
}

/// `array` with these nulls too.
fn masked(array: &ArrayRef, nulls: &arrow_buffer::NullBuffer) -> Result<ArrayRef> {
    let nulls = arrow_buffer::NullBuffer::union(array.nulls(), Some(nulls));
    let data = array.to_data().into_builder().nulls(nulls).build();
    data.map(arrow_array::make_array).map_err(|e| Error::new(ErrorKind::Internal, e.to_string()))
}

#[cfg(test)]
mod tests {
    use arrow_array::{BinaryArray, StringArray, StructArray};
    use arrow_buffer::NullBuffer;
    use arrow_schema::Fields;

    use super::*;

    #[test]
    fn each_layout_is_known_by_its_type() {
        let of = |data_type: DataType| Source::of(&Field::new("x", data_type, true));
        assert_eq!(of(DataType::BinaryView).unwrap(), Source::Encoded);
        assert_eq!(of(DataType::Utf8View).unwrap(), Source::Paths);
        assert!(of(DataType::Int64).unwrap_err().message().contains("'x' of type Int64"));
    }

    #[test]
    fn a_null_structure_has_no_image_whatever_lies_beneath() {
        let fields =
            Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(BinaryArray::from_vec(vec![b"a", b"b"])),
            Arc::new(StringArray::from(vec!["a.png", "b.png"])),
        ];
        let array: ArrayRef = Arc::new(StructArray::new(fields, columns, Some(NullBuffer::from(vec![true, false]))));
        let field = Arc::new(Field::new("image", array.data_type().clone(), true));
        assert_eq!(Source::of(&field).unwrap(), Source::BytesOrPaths);
        let Images::BytesOrPaths { bytes, paths } = Source::BytesOrPaths.images(array, &field, None).unwrap() else {
            panic!()
        };
        assert!(bytes.is_valid(0) && paths.is_valid(0) && bytes.is_null(1) && paths.is_null(1));
    }
}
