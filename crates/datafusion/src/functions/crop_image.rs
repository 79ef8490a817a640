//! `crop_image`: a rectangle of each image.

use arrow_array::{Array, ArrayRef, cast::AsArray, types::Int64Type};
use arrow_schema::{DataType, Field};
use imbed_core::{
    Result,
    arrow::kernels::{self, CropBox},
};

use crate::{
    function::{Function, ON_ERROR, Parameter, Planned, Running, report},
    images::{self, Known},
    literals::Literals,
};

#[derive(Debug)]
pub(crate) struct CropImage;

/// The parameters that make the rectangle.
const SIDES: [&str; 4] = ["x", "y", "width", "height"];

/// The rectangle, if it is the same for all rows.
pub(crate) fn constant_box(literals: &Literals<'_>) -> Result<Option<CropBox>> {
    if !SIDES.iter().all(|side| literals.is_constant(side)) {
        return Ok(None);
    }
    let side = |name| literals.whole(name);
    let sides = (side("x")?, side("y")?, side("width")?, side("height")?);
    let (Some(x), Some(y), Some(width), Some(height)) = sides else { return Ok(None) };
    Ok(Some(CropBox { x, y, width, height }))
}

impl Function for CropImage {
    const NAME: &'static str = "crop_image";
    const SUMMARY: &'static str = "Cuts a rectangle out of each image. The four numbers may be columns, such as \
         those of a detector's boxes; a null among them gives a null. A rectangle that leaves its image is an error \
         of that row.";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::required("image", "a column of decoded images"),
        Parameter::required("x", "the first column of the rectangle, from 0"),
        Parameter::required("y", "the first row, from 0"),
        Parameter::required("width", "columns"),
        Parameter::required("height", "rows"),
        ON_ERROR,
    ];
    const EXAMPLE: &'static str = "SELECT crop_image(decode_image(image), x, y, w, h, on_error => 'ignore') FROM \
         detections;";

    fn coerce(types: &[DataType]) -> Vec<DataType> {
        let side = |(i, t): (usize, &DataType)| if (1..=4).contains(&i) { DataType::Int64 } else { t.clone() };
        types.iter().enumerate().map(side).collect()
    }

    fn field(call: &Planned<'_>) -> Result<Field> {
        // Even where all four are constants: they may be sums, which are known to be constant only later in planning.
        Ok(Known { size: None, ..Known::of(&call.fields[0])? }.field(Self::NAME))
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        let on_error = call.on_error()?;
        let column = call.column(0)?;
        let sides = (1..=4).map(|i| call.column(i)).collect::<Result<Vec<_>>>()?;
        let side = |i: usize, row: usize| {
            let numbers = sides[i].as_primitive_opt::<Int64Type>()?;
            // A negative number leaves every image, as the largest one does.
            numbers.is_valid(row).then(|| u32::try_from(numbers.value(row)).unwrap_or(u32::MAX))
        };
        let rectangle =
            |row| Some(CropBox { x: side(0, row)?, y: side(1, row)?, width: side(2, row)?, height: side(3, row)? });
        let rows = kernels::crop(images::column(call, 0, &column)?, rectangle, on_error)?;
        report(&rows.errors, on_error);
        images::array(call, &rows.images)
    }
}
