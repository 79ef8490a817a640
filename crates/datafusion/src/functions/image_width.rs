//! `image_width`: columns of each image.

use std::sync::Arc;

use arrow_array::{ArrayRef, UInt32Array};
use arrow_schema::{DataType, Field};
use imbed_core::Result;

use super::described::described;
use crate::{
    function::{Function, Parameter, Planned, Running},
    images::Known,
};

#[derive(Debug)]
pub(crate) struct ImageWidth;

impl Function for ImageWidth {
    const NAME: &'static str = "image_width";
    const SUMMARY: &'static str = "The width of each image in pixels.";
    const PARAMETERS: &'static [Parameter] = &[Parameter::required("image", "a column of decoded images")];
    const EXAMPLE: &'static str = "SELECT path FROM images('photos/**') WHERE image_width(decode_image(image)) < 64;";

    fn field(call: &Planned<'_>) -> Result<Field> {
        Known::of(&call.fields[0])?;
        Ok(Field::new(Self::NAME, DataType::UInt32, true))
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        let widths = described(call, |_, size| size.width)?;
        Ok(Arc::new(UInt32Array::from(widths)))
    }
}
