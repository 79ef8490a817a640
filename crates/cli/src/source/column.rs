//! Which column of a table holds the images, and how.

use arrow_schema::{DataType, Field, Fields, Schema};
use imbed::core::{
    Error, ErrorKind, Result,
    arrow::{self, BytesColumn, StringsColumn},
};

use super::{Table, describe_columns};

/// Names that a column of images or of their paths usually has, the likeliest first.
const USUAL_NAMES: &[&str] = &[
    "image",
    "img",
    "images",
    "picture",
    "photo",
    "image_bytes",
    "bytes",
    "data",
    "jpg",
    "jpeg",
    "png",
    "image_path",
    "path",
    "image_file",
    "file_path",
    "filepath",
    "file_name",
    "filename",
    "file",
    "image_url",
    "url",
    "uri",
];

/// The image column: its index in the table's schema, and what its values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageColumn {
    /// Encoded files.
    Bytes(usize),
    /// Paths of files.
    Paths(usize),
    /// A struct of both, as Hugging Face `datasets` writes it; the members' indices.
    BytesOrPath { column: usize, bytes: usize, path: usize },
    /// Decoded images in one of the image types.
    Decoded(usize),
}

impl ImageColumn {
    pub(super) fn index(self) -> usize {
        match self {
            Self::Bytes(index) | Self::Paths(index) | Self::Decoded(index) => index,
            Self::BytesOrPath { column, .. } => column,
        }
    }

    /// What `field`, at `index`, can be.
    fn of(index: usize, field: &Field) -> Option<Self> {
        if arrow::ImageColumn::accepts(field) {
            return Some(Self::Decoded(index));
        }
        match field.data_type() {
            t if BytesColumn::accepts(t) => Some(Self::Bytes(index)),
            t if StringsColumn::accepts(t) => Some(Self::Paths(index)),
            DataType::Struct(members) => {
                let bytes = position(members, "bytes", BytesColumn::accepts)?;
                Some(Self::BytesOrPath {
                    column: index,
                    bytes,
                    path: position(members, "path", StringsColumn::accepts)?,
                })
            }
            _ => None,
        }
    }
}

/// The column called `asked`, or else the only one that can hold images, or else one with a usual name.
pub(super) fn choose(table: &Table, asked: Option<&str>) -> Result<ImageColumn> {
    choose_in(&table.schema, asked).map_err(|e| e.context(table.path.display()))
}

fn choose_in(schema: &Schema, asked: Option<&str>) -> Result<ImageColumn> {
    if let Some(name) = asked {
        let (index, field) = schema.column_with_name(name).ok_or_else(|| {
            Error::new(ErrorKind::BadInput, format!("there is no column '{name}'"))
                .hint(format!("its columns: {}", describe_columns(schema)))
        })?;
        return ImageColumn::of(index, field).ok_or_else(|| {
            Error::new(ErrorKind::BadInput, format!("column '{name}' of type {} holds no images", field.data_type()))
                .hint("images are encoded bytes, paths as text, structs of bytes and path, or an Arrow image type")
        });
    }
    let columns: Vec<(&str, ImageColumn)> = schema
        .fields()
        .iter()
        .enumerate()
        .filter_map(|(index, field)| Some((field.name().as_str(), ImageColumn::of(index, field)?)))
        .collect();
    let mut binary = columns.iter().filter(|(_, column)| !matches!(column, ImageColumn::Paths(_)));
    if let (Some((_, only)), None) = (binary.next(), binary.next()) {
        return Ok(*only);
    }
    let named = |name: &&str| columns.iter().find(|(column, _)| column.eq_ignore_ascii_case(name));
    USUAL_NAMES.iter().find_map(named).map(|(_, column)| *column).ok_or_else(|| {
        Error::new(ErrorKind::BadInput, "which column holds the images?")
            .hint(format!("name it with --column; its columns: {}", describe_columns(schema)))
    })
}

fn position(members: &Fields, name: &str, fits: impl Fn(&DataType) -> bool) -> Option<usize> {
    members.iter().position(|member| member.name() == name && fits(member.data_type()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(columns: &[(&str, DataType)]) -> Schema {
        Schema::new(columns.iter().map(|(name, t)| Field::new(*name, t.clone(), true)).collect::<Vec<_>>())
    }

    fn hugging_face() -> DataType {
        DataType::Struct(Fields::from(vec![
            Field::new("bytes", DataType::Binary, true),
            Field::new("path", DataType::Utf8, true),
        ]))
    }

    #[test]
    fn the_only_binary_column_wins_over_names() {
        let schema = schema(&[("path", DataType::Utf8), ("blob", DataType::LargeBinary)]);
        assert_eq!(choose_in(&schema, None).unwrap(), ImageColumn::Bytes(1));
    }

    #[test]
    fn a_struct_of_bytes_and_path_is_taken() {
        let schema = schema(&[("label", DataType::Int64), ("picture", hugging_face())]);
        let expected = ImageColumn::BytesOrPath { column: 1, bytes: 0, path: 1 };
        assert_eq!(choose_in(&schema, None).unwrap(), expected);
    }

    #[test]
    fn among_several_a_usual_name_decides() {
        let schema = schema(&[("caption", DataType::Utf8), ("mask", DataType::Binary), ("Image", DataType::Binary)]);
        assert_eq!(choose_in(&schema, None).unwrap(), ImageColumn::Bytes(2));
    }

    #[test]
    fn text_is_paths_also_behind_a_dictionary() {
        let categories = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let schema = schema(&[("caption", DataType::Utf8), ("file_name", categories)]);
        assert_eq!(choose_in(&schema, None).unwrap(), ImageColumn::Paths(1));
    }

    #[test]
    fn where_nothing_decides_the_columns_are_listed() {
        let schema = schema(&[("a", DataType::Utf8), ("b", DataType::Int64)]);
        let error = choose_in(&schema, None).unwrap_err();
        assert!(error.hint_text().unwrap().contains("a: Utf8, b: Int64"), "{error}");
        assert!(choose_in(&schema, Some("b")).unwrap_err().message().contains("Int64"));
        assert!(choose_in(&schema, Some("c")).unwrap_err().hint_text().unwrap().contains("a: Utf8"));
    }
}
