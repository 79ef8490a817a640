//! Decoded images to the batch that a model reads.

use arrow_buffer::NullBuffer;

use super::rows::{RowErrors, map};
use crate::{
    Error, ErrorKind, PixelBatch, Preprocess, Result,
    arrow::ImageColumn,
    options::{Alpha, OnError},
    preprocess::Size,
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

/// Runs the recipe `preprocess` on every image. The batch is ragged where the recipe gives images sizes of their own; an
/// error if it bounds them by nothing.
pub fn to_pixel_batch(
    images: ImageColumn<'_>,
    preprocess: &Preprocess,
    alpha: Alpha,
    on_error: OnError,
) -> Result<PixelRows> {
    if preprocess.max_output_bytes().is_none() {
        return Err(Error::new(
            ErrorKind::BadInput,
            "the model's preprocessing gives images of any size, which make no batch",
        )
        .hint("its preprocessor_config.json needs a centre crop or an exact size"));
    }
    let (rows, errors) = map(images.len(), on_error, |row| {
        let Some(image) = images.get(row)? else { return Ok(None) };
        let size = preprocess.output_size_for(Size { height: image.height(), width: image.width() });
        let mut pixels = vec![0; size.bytes() as usize];
        preprocess.run(&image, alpha, &mut pixels)?;
        Ok(Some((pixels, size)))
    })?;
    let valid = rows.iter().map(Option::is_some).collect::<NullBuffer>();
    let count = rows.len() - valid.null_count();
    let mut batch = match preprocess.output_size() {
        Some(size) => PixelBatch::with_capacity(count, size.height as usize, size.width as usize),
        None => PixelBatch::ragged(count),
    };
    for (pixels, size) in rows.iter().flatten() {
        batch.push(pixels, size.height as usize, size.width as usize);
    }
    Ok(PixelRows { batch, valid, errors })
}
