//! One mode to another.

use super::rows::{ImageRows, map_images};
use crate::{
    Result,
    arrow::ImageColumn,
    image::Mode,
    options::{Alpha, OnError},
};

/// Converts every image to `mode`; see [`Image::convert`](crate::image::Image::convert).
pub fn convert(images: ImageColumn<'_>, mode: Mode, alpha: Alpha, on_error: OnError) -> Result<ImageRows> {
    map_images(images, on_error, |image| Ok(image.convert(mode, alpha)))
}
