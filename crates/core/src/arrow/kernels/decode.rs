//! Encoded to decoded.

use super::rows::{ImageRows, map};
use crate::{
    Result,
    arrow::BytesColumn,
    image::{self, DecodeOptions},
    options::OnError,
};

/// Decodes every row of `bytes`.
pub fn decode(bytes: BytesColumn<'_>, options: &DecodeOptions, on_error: OnError) -> Result<ImageRows> {
    let (images, errors) =
        map(bytes.len(), on_error, |row| bytes.get(row).map(|bytes| image::decode(bytes, options)).transpose())?;
    Ok(ImageRows { images, errors })
}
