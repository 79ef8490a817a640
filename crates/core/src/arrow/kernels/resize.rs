//! One size to another.

use super::rows::{ImageRows, map_images};
use crate::{Result, arrow::ImageColumn, image::Filter, options::OnError, preprocess::Size};

/// Resizes every image to `size`; see [`Image::resize`](crate::image::Image::resize).
pub fn resize(images: ImageColumn<'_>, size: Size, filter: Filter, on_error: OnError) -> Result<ImageRows> {
    map_images(images, on_error, |image| image.resize(size.width, size.height, filter))
}
