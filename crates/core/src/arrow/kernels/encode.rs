//! Decoded to encoded.

use arrow_array::LargeBinaryArray;

use super::rows::{EncodedRows, map};
use crate::{
    Result,
    arrow::ImageColumn,
    image::{self, EncodeFormat},
    options::OnError,
};

/// Encodes every image as `format`; see [`image::encode`].
pub fn encode(images: ImageColumn<'_>, format: EncodeFormat, on_error: OnError) -> Result<EncodedRows> {
    let (files, errors) =
        map(images.len(), on_error, |row| images.get(row)?.map(|image| image::encode(&image, format)).transpose())?;
    Ok(EncodedRows { array: LargeBinaryArray::from_iter(files), errors })
}
