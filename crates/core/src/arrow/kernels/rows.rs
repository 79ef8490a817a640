//! What every kernel shares: rows in parallel, errors by row.

use arrow_array::{ArrayRef, LargeBinaryArray};
use arrow_schema::Field;
use rayon::prelude::*;

use crate::{
    Error, Result,
    arrow::{ImageColumn, images_to_array},
    image::Image,
    options::OnError,
};

/// The rows that failed, in order, and why.
pub type RowErrors = Vec<(usize, Error)>;

/// A column of images, and the rows that failed and are null in it.
#[derive(Debug)]
pub struct ImageRows {
    /// The field of the column, with the metadata that says how to read it.
    pub field: Field,
    /// The images.
    pub array: ArrayRef,
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

/// `f` of every image of a column, as a column with the name `name`.
pub(super) fn map_images(
    name: &str,
    images: ImageColumn<'_>,
    on_error: OnError,
    f: impl Fn(Image) -> Result<Image> + Sync,
) -> Result<ImageRows> {
    let (images, errors) = map(images.len(), on_error, |row| images.get(row)?.map(&f).transpose())?;
    let (field, array) = images_to_array(name, &images)?;
    Ok(ImageRows { field, array, errors })
}
