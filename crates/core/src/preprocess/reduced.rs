//! Pictures that were decoded smaller than they are, because the recipe makes them smaller anyway.

use super::{Preprocess, Resize, Size};
use crate::{
    Error, ErrorKind, Result,
    image::{DecodeOptions, Filter, Image, decode, jpeg_size},
    options::Alpha,
};

/// How many times the size that a recipe resizes to a picture keeps at least in [`Preprocess::decode_reduced`].
///
/// Chosen by measurement, over 200 photos of which nearly all were decoded smaller, against the exact way: from 2 times on the
/// resized samples differ by about half a step of 255 in the mean, by 2.6 in the mean of the worst photo, and by 23 at most;
/// from 3 times on by 0.2, 0.7 and 15. From 1.5 times on it is 0.8, 2.6 and 30, and from the very size on 2.3, 9 and 66. Twice
/// still serves pictures of 1080 rows for a model of 224, which three times would not.
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
    ///
    /// This is for those who want speed before the very pixels of the reference: see [`LEAST_REDUCTION`]. What
    /// [`DecodeOptions::at_least`] says is not looked at.
    ///
    /// ```
    /// use imbed_core::{
    ///     image::{DecodeOptions, EncodeFormat, Image, Mode, Samples, encode},
    ///     options::Alpha,
    ///     preprocess::from_preprocessor_config,
    /// };
    ///
    /// let recipe = from_preprocessor_config(&serde_json::json!({
    ///     "image_processor_type": "CLIPImageProcessor", "size": { "shortest_edge": 32 }, "crop_size": 32,
    /// }))?;
    /// let photo = Image::new(Mode::Rgb, 400, 300, Samples::U8(vec![200; 400 * 300 * 3]))?;
    /// let file = encode(&photo, EncodeFormat::Jpeg { quality: 90 })?;
    /// let reduced = recipe.decode_reduced(&file, &DecodeOptions::default())?;
    /// assert_eq!((reduced.image.width(), reduced.image.height()), (100, 75));
    /// let mut pixels = vec![0; 32 * 32 * 3];
    /// recipe.run_reduced(&reduced, Alpha::Drop, &mut pixels)?;
    /// # Ok::<(), imbed_core::Error>(())
    /// ```
    pub fn decode_reduced(&self, file: &[u8], options: &DecodeOptions) -> Result<Reduced> {
        let size = jpeg_size(file, options);
        let at_least = size.and_then(|size| self.least_source(size));
        let image = decode(file, &DecodeOptions { at_least, ..*options })?;
        Ok(match size {
            Some(full) => Reduced { image, full },
            None => image.into(),
        })
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

/// A picture that was not decoded smaller.
impl From<Image> for Reduced {
    fn from(image: Image) -> Self {
        let full = Size { height: image.height(), width: image.width() };
        Self { image, full }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        image::{EncodeFormat, Mode, Samples, encode},
        preprocess::{Normalize, ResizeTarget},
    };

    fn recipe(target: Option<ResizeTarget>, filter: Filter, crop: Option<(u32, u32)>) -> Preprocess {
        Preprocess {
            resize: target.map(|target| Resize { target, filter }),
            center_crop: crop.map(|(height, width)| Size { height, width }),
            normalize: Normalize::NONE,
        }
    }

    fn run(recipe: &Preprocess, reduced: &Reduced) -> Vec<u8> {
        let mut out = vec![77; recipe.output_size_for(reduced.full).bytes() as usize];
        recipe.run_reduced(reduced, Alpha::Drop, &mut out).unwrap();
        out
    }

    /// Slow waves, other ones in each channel.
    fn waves(width: u32, height: u32) -> Image {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (f64::from(x), f64::from(y))));
        let wave = |x: f64| (128.0 + 100.0 * x.sin()) as u8;
        let samples = pixels.flat_map(|(x, y)| [wave(x / 40.0), wave(y / 30.0), wave((x + y) / 50.0)]).collect();
        Image::new(Mode::Rgb, width, height, Samples::U8(samples)).unwrap()
    }

    #[test]
    fn the_least_source_is_a_multiple_of_the_size_before_any_cut() {
        let size = |height, width| Size { height, width };
        for (target, from, least) in [
            (ResizeTarget::ShortestEdge(224), size(3000, 4000), size(448, 596)),
            (ResizeTarget::Exact(size(30, 40)), size(7, 9), size(60, 80)),
            (ResizeTarget::ConvNext { side: 224, crop_pct: 0.875 }, size(300, 600), size(512, 1024)),
            (ResizeTarget::Exact(size(u32::MAX, 1)), size(7, 9), size(u32::MAX, 2)),
        ] {
            let recipe = recipe(Some(target), Filter::Bicubic, Some((224, 224)));
            assert_eq!(recipe.least_source(from), Some(least), "{target:?}");
        }
    }

    #[test]
    fn a_recipe_that_does_not_filter_needs_the_whole_picture() {
        let from = Size { height: 300, width: 400 };
        assert_eq!(recipe(None, Filter::Bicubic, Some((2, 2))).least_source(from), None);
        let nearest = recipe(Some(ResizeTarget::ShortestEdge(10)), Filter::Nearest, None);
        assert_eq!(nearest.least_source(from), None);
        let jpeg = encode(&waves(400, 300), EncodeFormat::Jpeg { quality: 90 }).unwrap();
        let reduced = nearest.decode_reduced(&jpeg, &DecodeOptions::default()).unwrap();
        assert_eq!((reduced.image.width(), reduced.full), (400, from));
    }

    #[test]
    fn a_picture_decoded_smaller_shows_what_the_whole_one_shows() {
        // Sides that no reduction divides: the last column and row stand for one pixel of eight.
        for (width, height) in [(800, 600), (801, 601), (605, 793)] {
            let jpeg = encode(&waves(width, height), EncodeFormat::Jpeg { quality: 95 }).unwrap();
            let image = decode(&jpeg, &DecodeOptions::default()).unwrap();
            for (target, by) in [(32, 8), (70, 4), (150, 2), (200, 1)] {
                let recipe = recipe(Some(ResizeTarget::ShortestEdge(target)), Filter::Bicubic, None);
                let reduced = recipe.decode_reduced(&jpeg, &DecodeOptions::default()).unwrap();
                assert_eq!((reduced.image.width(), reduced.image.height()), (width.div_ceil(by), height.div_ceil(by)));
                let full = Size { height, width };
                assert_eq!(reduced.full, full);
                let mut exact = vec![0; recipe.output_size_for(full).bytes() as usize];
                recipe.run(&image, Alpha::Drop, &mut exact).unwrap();
                let ours = run(&recipe, &reduced);
                assert_eq!(ours.len(), exact.len());
                let largest = ours.iter().zip(&exact).map(|(a, b)| a.abs_diff(*b)).max();
                assert!(largest <= Some(if by == 1 { 0 } else { 6 }), "{width} x {height} to {target}: {largest:?}");
            }
        }
    }

    #[test]
    fn other_formats_are_decoded_as_they_are() {
        let image = waves(80, 60);
        let recipe = recipe(Some(ResizeTarget::ShortestEdge(5)), Filter::Bicubic, None);
        let png = encode(&image, EncodeFormat::Png).unwrap();
        let reduced = recipe.decode_reduced(&png, &DecodeOptions::default()).unwrap();
        assert_eq!(reduced, Reduced { image, full: Size { height: 60, width: 80 } });
    }

    #[test]
    fn an_image_that_is_no_reduction_is_an_error() {
        let recipe = recipe(Some(ResizeTarget::ShortestEdge(5)), Filter::Bicubic, Some((5, 5)));
        for full in [Size { height: 60, width: 80 }, Size { height: 30, width: 60 }, Size { height: 0, width: 0 }] {
            let reduced = Reduced { image: waves(27, 20), full };
            let error = recipe.run_reduced(&reduced, Alpha::Drop, &mut [0; 75]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Dimensions);
            assert!(error.message().contains("27 x 20"), "{error}");
        }
    }
}
