//! `image_channels`: samples per pixel.

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
pub(crate) struct ImageChannels;

impl Function for ImageChannels {
    const NAME: &'static str = "image_channels";
    const SUMMARY: &'static str = "The number of channels of each image: 1 for grey, 3 for colours, one more with \
         alpha.";
    const PARAMETERS: &'static [Parameter] = &[Parameter::required("image", "a column of decoded images")];
    const EXAMPLE: &'static str = "SELECT path FROM images('photos/**') WHERE image_channels(decode_image(image)) = 1;";

    fn field(call: &Planned<'_>) -> Result<Field> {
        Known::of(&call.fields[0])?;
        Ok(Field::new(Self::NAME, DataType::UInt32, true))
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        let channels = described(call, |mode, _| mode.channels() as u32)?;
        Ok(Arc::new(UInt32Array::from(channels)))
    }
}
