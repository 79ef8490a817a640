//! Decoded images to the batch that a model reads.

use arrow_buffer::NullBuffer;

use super::rows::{RowErrors, map};
use crate::{
    Error, ErrorKind, PixelBatch, Preprocess, Result,
    arrow::ImageColumn,
    options::{Alpha, OnError},
};

/// The pixels of the rows that have any.
#[derive(Debug)]
pub struct PixelRows {
    /// One image for each valid row, in order.
    pub batch: PixelBatch,
    /// Which rows those are.
    pub valid: NullBuffer,
    /// The rows that failed.
    pub errors: RowErrors,
}

/// Runs the recipe `preprocess` on every image. An error if the recipe does not give all images one size.
pub fn to_pixel_batch(
    images: ImageColumn<'_>,
    preprocess: &Preprocess,
    alpha: Alpha,
    on_error: OnError,
) -> Result<PixelRows> {
    let size = preprocess.output_size().ok_or_else(|| {
        Error::new(
            ErrorKind::BadInput,
            "the model's preprocessing gives images of different sizes, which make no batch",
        )
        .hint("its preprocessor_config.json needs a centre crop or an exact size")
    })?;
    let (rows, errors) = map(images.len(), on_error, |row| {
        let Some(image) = images.get(row)? else { return Ok(None) };
        let mut pixels = vec![0; size.bytes() as usize];
        preprocess.run(&image, alpha, &mut pixels)?;
        Ok(Some(pixels))
    })?;
    let valid = rows.iter().map(Option::is_some).collect::<NullBuffer>();
    let mut batch =
        PixelBatch::with_capacity(rows.len() - valid.null_count(), size.height as usize, size.width as usize);
    rows.iter().flatten().for_each(|pixels| batch.push(pixels));
    Ok(PixelRows { batch, valid, errors })
}
