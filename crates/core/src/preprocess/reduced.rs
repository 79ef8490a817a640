//! Pictures that were decoded smaller than they are, because the recipe makes them smaller anyway.

use super::{Preprocess, Resize, Size};
use crate::{
    Error, ErrorKind, Result,
    image::{DecodeOptions, Filter, Image, decode, jpeg_size},
    options::Alpha,
};

/// How many times the size that a recipe resizes to a picture keeps at least in [`Preprocess::decode_reduced`].
pub const LEAST_REDUCTION: u32 = 2;

/// A picture that may have been decoded at 1/2, 1/4 or 1/8 of its size.
#[derive(Debug, Clone, PartialEq)]
pub struct Reduced {
    /// What was decoded.
    pub image: Image,
    /// The size of the whole picture, upright as the image is.
    pub full: Size,
}

impl Preprocess {
    /// The least size at which a picture of size `source` may be decoded for this recipe: [`LEAST_REDUCTION`] times the size
    /// that it is resized to, before anything is cut. `None` where only the whole picture will do: a recipe that does not
    /// resize, or that picks pixels without a filter.
    pub fn least_source(&self, source: Size) -> Option<Size> {
        let Resize { target, filter } = self.resize?;
        let Size { height, width } = target.resized(source);
        let times = |length: u32| length.saturating_mul(LEAST_REDUCTION);
        (filter != Filter::Nearest).then(|| Size { height: times(height), width: times(width) })
    }

    /// Decodes a picture for [`run_reduced`](Self::run_reduced): a JPEG at the smallest size that
    /// [`least_source`](Self::least_source) allows, any other picture as large as it is.
    pub fn decode_reduced(&self, file: &[u8], options: &DecodeOptions) -> Result<Reduced> {
        let size = jpeg_size(file, options);
        let at_least = size.and_then(|size| self.least_source(size));
        let image = decode(file, &DecodeOptions { at_least, ..*options })?;
        let full = size.unwrap_or(Size { height: image.height(), width: image.width() });
        Ok(Reduced { image, full })
    }

    /// [`run`](Self::run) for a picture that was decoded smaller. The output has the size, and shows the part, that it would
    /// have of the whole picture.
    ///
    /// An error of kind [`Dimensions`](ErrorKind::Dimensions) if the image is not 1/1, 1/2, 1/4 or 1/8 as large as the whole
    /// picture, or `out` has not exactly the size of the output.
    pub fn run_reduced(&self, reduced: &Reduced, alpha: Alpha, out: &mut [u8]) -> Result<()> {
        let Reduced { image, full } = reduced;
        let by = reduced.by()?;
        // The last column and row may stand for fewer pixels than the others.
        let covers = (f64::from(full.width) / f64::from(by), f64::from(full.height) / f64::from(by));
        self.run_covering(image, *full, covers, alpha, out)
    }
}

impl Reduced {
    /// How many pixels of the whole picture became one, across and down.
    fn by(&self) -> Result<u32> {
        let Self { image, full } = self;
        let fits = |by: &u32| (full.width.div_ceil(*by), full.height.div_ceil(*by)) == (image.width(), image.height());
        [1, 2, 4, 8].into_iter().find(fits).ok_or_else(|| {
            let (width, height) = (image.width(), image.height());
            let what = format!("{width} x {height} pixels are no reduction of {} x {}", full.width, full.height);
            Error::new(ErrorKind::Dimensions, what)
        })
    }
}
