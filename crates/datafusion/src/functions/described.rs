//! What columns of images say of each row without its pixels.

use imbed_core::{Result, image::Mode, preprocess::Size};

use crate::{function::Running, images};

/// `f` of the mode and size of each image of the first argument.
pub(super) fn described<T>(call: &Running<'_>, f: impl Fn(Mode, Size) -> T) -> Result<Vec<Option<T>>> {
    let array = call.column(0)?;
    let column = images::column(call, 0, &array)?;
    (0..column.len()).map(|row| Ok(column.describe(row)?.map(|(mode, size)| f(mode, size)))).collect()
}
