//! `decode_image`: files become pixels.

use arrow_array::ArrayRef;
use arrow_schema::{DataType, Field};
use imbed_core::{
    Result,
    arrow::{BytesColumn, kernels},
    image::{DecodeOptions, Mode, SampleType},
    options::{Alpha, Icc},
};

use crate::{
    function::{Function, ON_ERROR, Parameter, Planned, Running, report},
    images::{self, BYTES, Known},
    literals::Literals,
};

#[derive(Debug)]
pub(crate) struct DecodeImage;

/// What a call asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Decode {
    /// The mode that all images are converted to; `None` leaves each as its file has it, in 8 bits.
    pub(crate) mode: Option<Mode>,
    pub(crate) options: DecodeOptions,
}

impl Decode {
    pub(crate) fn read(literals: &Literals<'_>) -> Result<Self> {
        let default = DecodeOptions::default();
        let options = DecodeOptions {
            exif_orientation: literals.truth("exif_orientation")?.unwrap_or(default.exif_orientation),
            icc: literals.parsed::<Icc>("icc")?.unwrap_or(default.icc),
            frame: literals.whole("frame")?.unwrap_or(default.frame),
            ..default
        };
        Ok(Self { mode: literals.parsed("mode")?, options })
    }

    /// What is known of the images that come out.
    pub(crate) fn known(self) -> Known {
        self.mode.map_or(Known { samples: SampleType::U8, mode: None, size: None }, Known::of_mode)
    }
}

impl Function for DecodeImage {
    const NAME: &'static str = "decode_image";
    const SUMMARY: &'static str = "Decodes image files: JPEG, PNG, WebP, GIF, TIFF, BMP and others, told apart by \
         their content. Grey stays grey and alpha stays; samples of 16 bits and floats become 8 bits unless `mode` \
         asks for more.";
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::required("image", "a binary column of image files"),
        Parameter::optional(
            "mode",
            "converts all images to this mode: `L`, `LA`, `RGB`, `RGBA`, `L16`, `LA16`, `RGB16`, `RGBA16`, `RGB32F` \
                 or `RGBA32F`",
        ),
        ON_ERROR,
        Parameter::optional("exif_orientation", "turns each image upright as its EXIF orientation says (default true)"),
        Parameter::optional(
            "icc",
            "an embedded colour profile: `ignore`, or `srgb` to convert colours (default `ignore`)",
        ),
        Parameter::optional("frame", "which frame of an animation or page of a document, from 0 (default 0)"),
    ];
    const EXAMPLE: &'static str = "SELECT path, image_width(decode_image(image, on_error => 'ignore')) FROM \
         images('photos/**');";

    fn coerce(types: &[DataType]) -> Vec<DataType> {
        let bytes = |(i, t): (usize, &DataType)| if i == 0 && t.is_null() { BYTES } else { t.clone() };
        types.iter().enumerate().map(bytes).collect()
    }

    fn field(call: &Planned<'_>) -> Result<Field> {
        images::check_bytes(&call.fields[0])?;
        Ok(Decode::read(&call.literals)?.known().field(Self::NAME))
    }

    fn run(call: &Running<'_>) -> Result<ArrayRef> {
        let (decode, on_error) = (Decode::read(&call.literals)?, call.on_error()?);
        let column = call.column(0)?;
        let mut rows = kernels::decode(BytesColumn::try_new(&column)?, &decode.options, on_error)?;
        report(&rows.errors, on_error);
        if let Some(mode) = decode.mode {
            rows.images.iter_mut().flatten().for_each(|image| *image = image.convert(mode, Alpha::Drop));
        }
        images::array(call, &rows.images)
    }
}
