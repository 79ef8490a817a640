//! Encoded to decoded.

use super::rows::{ImageRows, map};
use crate::{
    Result,
    arrow::{BytesColumn, images_to_array},
    image::{self, DecodeOptions},
    options::OnError,
};

/// Decodes every row of `bytes` into a column with the name `name`.
pub fn decode(name: &str, bytes: BytesColumn<'_>, options: &DecodeOptions, on_error: OnError) -> Result<ImageRows> {
    let (images, errors) =
        map(bytes.len(), on_error, |row| bytes.get(row).map(|bytes| image::decode(bytes, options)).transpose())?;
    let (field, array) = images_to_array(name, &images)?;
    Ok(ImageRows { field, array, errors })
}
