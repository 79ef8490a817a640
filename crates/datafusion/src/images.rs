//! Columns of images in plans: what is known of them before a row is seen, and reading and writing them.

use std::collections::HashMap;

use arrow_array::{Array, ArrayRef, new_null_array};
use arrow_schema::{DataType, Field};
use imbed_core::{
    Error, ErrorKind, Result,
    arrow::{BytesColumn, ImageColumn, ImageType},
    image::{Image, Mode, SampleType},
    preprocess::Size,
};

use crate::function::Running;

/// The metadata key that holds the mode of all images of a column whose sizes differ.
const MODE: &str = "imbed.mode";

/// The type of a column of bytes that was given as `NULL`.
pub(crate) const BYTES: DataType = DataType::Binary;

/// What all images of a column have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) samples: SampleType,
    pub(crate) mode: Option<Mode>,
    pub(crate) size: Option<Size>,
}

impl Known {
    /// Images of one mode, of any size.
    pub(crate) fn of_mode(mode: Mode) -> Self {
        Self { samples: mode.sample_type(), mode: Some(mode), size: None }
    }

    /// What the field of a column says; an error if it is not one of images.
    pub(crate) fn of(field: &Field) -> Result<Self> {
        match ImageType::of_field(field).ok_or_else(|| not_images(field))? {
            ImageType::Fixed { mode, height, width } => {
                Ok(Self { size: Some(Size { height, width }), ..Self::of_mode(mode) })
            }
            ImageType::Variable { samples } => {
                let mode = field.metadata().get(MODE).and_then(|word| word.parse().ok());
                Ok(Self { samples, mode, size: None })
            }
        }
    }

    /// The narrowest type that holds such images.
    pub(crate) fn image_type(self) -> ImageType {
        let fixed = self.mode.zip(self.size).and_then(|(mode, size)| ImageType::fixed(mode, size.height, size.width));
        fixed.unwrap_or(ImageType::Variable { samples: self.samples })
    }

    /// The field of a column of such images.
    pub(crate) fn field(self, name: &str) -> Field {
        let field = self.image_type().field(name);
        match (self.image_type(), self.mode) {
            (ImageType::Variable { .. }, Some(mode)) => {
                let mode = HashMap::from([(MODE.to_owned(), mode.to_string())]);
                let metadata = field.metadata().clone().into_iter().chain(mode).collect();
                field.with_metadata(metadata)
            }
            _ => field,
        }
    }
}

/// The images of argument `index`.
pub(crate) fn column<'a>(call: &Running<'_>, index: usize, array: &'a dyn Array) -> Result<ImageColumn<'a>> {
    ImageColumn::try_new(call.field(index), array).map_err(|_| not_images(call.field(index)))
}

/// A column of `images`, of the type that was planned.
pub(crate) fn array(call: &Running<'_>, images: &[Option<Image>]) -> Result<ArrayRef> {
    if images.iter().all(Option::is_none) {
        return Ok(new_null_array(call.return_field().data_type(), images.len()));
    }
    Known::of(call.return_field())?.image_type().array(images)
}

/// An error unless a column of this field holds encoded images.
pub(crate) fn check_bytes(field: &Field) -> Result<()> {
    if BytesColumn::accepts(field.data_type()) {
        return Ok(());
    }
    let error = Error::new(
        ErrorKind::BadInput,
        format!("the column '{}' of type {} holds no encoded images", field.name(), short(field.data_type())),
    );
    Err(if Known::of(field).is_ok() {
        error.hint("it is decoded already")
    } else {
        error.hint("encoded images come as Binary, LargeBinary, BinaryView or FixedSizeBinary")
    })
}

fn not_images(field: &Field) -> Error {
    let what = format!("the column '{}' of type {} holds no images", field.name(), short(field.data_type()));
    Error::new(ErrorKind::BadInput, what).hint(if BytesColumn::accepts(field.data_type()) {
        "decode it first: decode_image(…)"
    } else {
        "images come from decode_image(…), or as arrow.fixed_shape_tensor or arrow.variable_shape_tensor of shape \
             [height, width, channels], or as Daft's image struct"
    })
}

/// A type as messages name it, without the fields of a structure.
fn short(data_type: &DataType) -> String {
    match data_type {
        DataType::Struct(_) => "Struct".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_survives_a_field() {
        let size = Some(Size { height: 3, width: 4 });
        for known in [
            Known { samples: SampleType::U8, mode: None, size: None },
            Known::of_mode(Mode::Rgb16),
            Known { size, ..Known::of_mode(Mode::Rgba) },
        ] {
            assert_eq!(Known::of(&known.field("x")).unwrap(), known);
        }
    }

    #[test]
    fn a_column_of_something_else_says_what_to_do() {
        let bytes = Field::new("image", DataType::Binary, true);
        assert!(Known::of(&bytes).unwrap_err().hint_text().unwrap().contains("decode_image"));
        assert!(check_bytes(&bytes).is_ok());
        let decoded = Known::of_mode(Mode::L).field("i");
        assert!(check_bytes(&decoded).unwrap_err().hint_text().unwrap().contains("already"));
    }
}
