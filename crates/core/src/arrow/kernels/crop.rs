//! A rectangle of each image.

use serde::{Deserialize, Serialize};

use super::rows::{ImageRows, map};
use crate::{Result, arrow::ImageColumn, options::OnError};

/// A rectangle in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CropBox {
    /// The first column.
    pub x: u32,
    /// The first row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Cuts the rectangle that `rectangle` gives for each row (null for null) out of every image.
///
/// A rectangle that leaves its image is an error of that row; see [`Image::crop`](crate::image::Image::crop).
pub fn crop(
    images: ImageColumn<'_>,
    rectangle: impl Fn(usize) -> Option<CropBox> + Sync,
    on_error: OnError,
) -> Result<ImageRows> {
    let (images, errors) = map(images.len(), on_error, |row| {
        let Some(CropBox { x, y, width, height }) = rectangle(row) else { return Ok(None) };
        images.get(row)?.map(|image| image.crop(x, y, width, height)).transpose()
    })?;
    Ok(ImageRows { images, errors })
}
