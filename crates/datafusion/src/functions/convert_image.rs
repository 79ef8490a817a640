//! `convert_image`: from one mode to another.

use arrow_array::ArrayRef;
use arrow_schema::Field;
use imbed_core::{Result, arrow::kernels, image::Mode, options::Alpha};

use crate::{
    function::{Function, ON_ERROR, Parameter, Planned, Running, report},
    images::{self, Known},
    literals::Literals,
};

#[derive(Debug)]
pub(crate) struct ConvertImage;

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Convert {
    pub(crate) mode: Mode,
    pub(crate) alpha: Alpha,
}

impl Convert {
    pub(crate) fn read(literals: &Literals<'_>) -> Result<Self> {
        let mode = literals.required("mode", literals.parsed("mode")?)?;
        Ok(Self { mode, alpha: literals.parsed("alpha")?.unwrap_or_default() })
    }
}

impl Function for ConvertImage {
    const NAME: &'static str = "convert_image";
    const SUMMARY: &'static str = "Converts images to another mode by PIL's rules: colours become grey by ITU-R 601 \
         luma, samples are scaled between types.";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::required("image", "a column of decoded images"),
        Parameter::required(
            "mode",
            "`L`, `LA`, `RGB`, `RGBA`, `L16`, `LA16`, `RGB16`, `RGBA16`, `RGB32F` or `RGBA32F`; a constant",
        ),
        Parameter::optional(
            "alpha",
            "transparency that the new mode lacks: `drop` as PIL does, or laid on `white`, `black` or `#rrggbb` \
                 (default `drop`)",
        ),
        ON_ERROR,
    ];
    const EXAMPLE: &'static str = "SELECT convert_image(decode_image(image), 'RGB', alpha => 'white') FROM \
         images('logos/*.png');";

    fn field(call: &Planned<'_>) -> Result<Field> {
        let size = Known::of(&call.fields[0])?.size;
        let mode = Convert::read(&call.literals)?.mode;
        Ok(Known { size, ..Known::of_mode(mode) }.field(Self::NAME))
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        let (Convert { mode, alpha }, on_error) = (Convert::read(&call.literals)?, call.on_error()?);
        let column = call.column(0)?;
        let rows = kernels::convert(images::column(call, 0, &column)?, mode, alpha, on_error)?;
        report(&rows.errors, on_error);
        images::array(call, &rows.images)
    }
}
