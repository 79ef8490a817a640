//! What every kernel shares: rows in parallel, errors by row.

use arrow_array::LargeBinaryArray;
use rayon::prelude::*;

use crate::{Error, Result, arrow::ImageColumn, image::Image, options::OnError};

/// The rows that failed, in order, and why.
pub type RowErrors = Vec<(usize, Error)>;

/// The images of a column's rows, and the rows that failed and are null among them.
///
/// [`images_to_array`](crate::arrow::images_to_array) makes a column of the narrowest type of them, and
/// [`ImageType::array`](crate::arrow::ImageType::array) one of a type that was decided before.
#[derive(Debug)]
pub struct ImageRows {
    /// One for each row.
    pub images: Vec<Option<Image>>,
    /// The rows that failed.
    pub errors: RowErrors,
}

/// A column of encoded images, and the rows that failed and are null in it.
#[derive(Debug)]
pub struct EncodedRows {
    /// The files.
    pub array: LargeBinaryArray,
    /// The rows that failed.
    pub errors: RowErrors,
}

/// `f` of every row in parallel, in order, with failed rows as `on_error` says.
pub(super) fn map<T: Send>(
    rows: usize,
    on_error: OnError,
    f: impl Fn(usize) -> Result<Option<T>> + Sync,
) -> Result<(Vec<Option<T>>, RowErrors)> {
    let results: Vec<Result<Option<T>>> = (0..rows).into_par_iter().map(&f).collect();
    let mut errors = RowErrors::new();
    let mut values = Vec::with_capacity(rows);
    for (row, result) in results.into_iter().enumerate() {
        match result {
            Ok(value) => values.push(value),
            Err(error) if on_error == OnError::Raise => return Err(error.context(format_args!("row {row}"))),
            Err(error) => {
                errors.push((row, error));
                values.push(None);
            }
        }
    }
    Ok((values, errors))
}

/// `f` of every image of a column.
pub(super) fn map_images(
    images: ImageColumn<'_>,
    on_error: OnError,
    f: impl Fn(Image) -> Result<Image> + Sync,
) -> Result<ImageRows> {
    let (images, errors) = map(images.len(), on_error, |row| images.get(row)?.map(&f).transpose())?;
    Ok(ImageRows { images, errors })
}
