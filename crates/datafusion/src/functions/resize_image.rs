//! `resize_image`: from one size to another.

use arrow_array::ArrayRef;
use arrow_schema::Field;
use imbed_core::{Result, arrow::kernels, image::Filter, preprocess::Size};

use crate::{
    function::{Function, ON_ERROR, Parameter, Planned, Running, report},
    images::{self, Known},
    literals::Literals,
};

#[derive(Debug)]
pub(crate) struct ResizeImage;

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Resize {
    pub(crate) size: Size,
    pub(crate) filter: Filter,
}

impl Resize {
    pub(crate) fn read(literals: &Literals<'_>) -> Result<Self> {
        let side = |name| -> Result<u32> {
            match literals.required(name, literals.whole(name)?)? {
                0 => Err(literals.wrong(name, "is 0, and an image has at least one pixel")),
                side => Ok(side),
            }
        };
        let size = Size { width: side("width")?, height: side("height")? };
        Ok(Self { size, filter: literals.parsed("filter")?.unwrap_or(Filter::Bicubic) })
    }
}

impl Function for ResizeImage {
    const NAME: &'static str = "resize_image";
    const SUMMARY: &'static str = "Resizes images to exactly this width and height, with Pillow's antialiasing and \
         its bytes. The proportion may change.";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::required("image", "a column of decoded images"),
        Parameter::required("width", "columns of the result, a constant"),
        Parameter::required("height", "rows of the result, a constant"),
        Parameter::optional(
            "filter",
            "`nearest`, `box`, `bilinear`, `hamming`, `bicubic` or `lanczos` (default `bicubic`, as Pillow's)",
        ),
        ON_ERROR,
    ];
    const EXAMPLE: &'static str = "SELECT resize_image(decode_image(image, mode => 'RGB'), 288, 288, filter => \
         'lanczos') FROM images('photos/**');";

    fn field(call: &Planned<'_>) -> Result<Field> {
        let known = Known::of(&call.fields[0])?;
        let size = Resize::read(&call.literals)?.size;
        Ok(Known { size: Some(size), ..known }.field(Self::NAME))
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        let (Resize { size, filter }, on_error) = (Resize::read(&call.literals)?, call.on_error()?);
        let column = call.column(0)?;
        let rows = kernels::resize(images::column(call, 0, &column)?, size, filter, on_error)?;
        report(&rows.errors, on_error);
        images::array(call, &rows.images)
    }
}
