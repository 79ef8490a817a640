//! `image_mode`: what the samples of each image mean.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_schema::{DataType, Field};
use imbed_core::Result;

use super::described::described;
use crate::{
    function::{Function, Parameter, Planned, Running},
    images::Known,
};

#[derive(Debug)]
pub(crate) struct ImageMode;

impl Function for ImageMode {
    const NAME: &'static str = "image_mode";
    const SUMMARY: &'static str = "The mode of each image, such as `RGB` or `L`.";
    const PARAMETERS: &'static [Parameter] = &[Parameter::required("image", "a column of decoded images")];
    const EXAMPLE: &'static str = "SELECT image_mode(decode_image(image)) AS mode, count(*) FROM images('photos/**') \
         GROUP BY mode;";

    fn field(call: &Planned<'_>) -> Result<Field> {
        Known::of(&call.fields[0])?;
        Ok(Field::new(Self::NAME, DataType::Utf8, true))
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        let modes = described(call, |mode, _| mode.as_str())?;
        Ok(Arc::new(StringArray::from(modes)))
    }
}
