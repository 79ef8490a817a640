//! One mode to another.

use super::rows::{ImageRows, map_images};
use crate::{
    Result,
    arrow::ImageColumn,
    image::Mode,
    options::{Alpha, OnError},
};

/// Converts every image to `mode`; see [`Image::convert`](crate::image::Image::convert).
pub fn convert(name: &str, images: ImageColumn<'_>, mode: Mode, alpha: Alpha, on_error: OnError) -> Result<ImageRows> {
    map_images(name, images, on_error, |image| Ok(image.convert(mode, alpha)))
}
