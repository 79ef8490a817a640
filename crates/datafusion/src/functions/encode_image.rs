//! `encode_image`: pixels become files.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field};
use imbed_core::{Result, arrow::kernels, image::EncodeFormat};

use crate::{
    function::{Function, ON_ERROR, Parameter, Planned, Running, report},
    images::{self, Known},
    literals::Literals,
};

#[derive(Debug)]
pub(crate) struct EncodeImage;

fn format(literals: &Literals<'_>) -> Result<EncodeFormat> {
    let format = literals.required("format", literals.parsed("format")?)?;
    match (format, literals.whole("quality")?) {
        (EncodeFormat::Jpeg { .. }, Some(quality)) => match u8::try_from(quality) {
            Ok(quality @ 1..=100) => Ok(EncodeFormat::Jpeg { quality }),
            _ => Err(literals.wrong("quality", format!("is {quality}")).hint("give 1 to 100")),
        },
        (format, Some(_)) => Err(literals
            .wrong("quality", format!("has no meaning for {format}"))
            .hint("leave it out: only JPEG has one")),
        (format, None) => Ok(format),
    }
}

impl Function for EncodeImage {
    const NAME: &'static str = "encode_image";
    const SUMMARY: &'static str = "Encodes images as files. A format that does not hold an image's mode is an error \
         of that row: convert it first.";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::required("image", "a column of decoded images"),
        Parameter::required("format", "`png`, `jpeg`, `webp`, `bmp`, `tiff` or `gif`; a constant"),
        Parameter::optional("quality", "of a JPEG, 1 (small) to 100 (fine) (default 75)"),
        ON_ERROR,
    ];
    const EXAMPLE: &'static str = "COPY (SELECT path, encode_image(resize_image(decode_image(image, mode => 'RGB'), \
         96, 96), 'jpeg') AS thumbnail FROM images('photos/**')) TO 'thumbnails.parquet';";

    fn field(call: &Planned<'_>) -> Result<Field> {
        Known::of(&call.fields[0])?;
        format(&call.literals)?;
        Ok(Field::new(Self::NAME, DataType::LargeBinary, true))
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        let on_error = call.on_error()?;
        let column = call.column(0)?;
        let rows = kernels::encode(images::column(call, 0, &column)?, format(&call.literals)?, on_error)?;
        report(&rows.errors, on_error);
        Ok(Arc::new(rows.array))
    }
}
