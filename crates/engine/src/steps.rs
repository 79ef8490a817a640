//! What is done to images before the model's own preprocessing, where a caller asks for more than that.

use std::fmt;

use imbed_core::{
    Result,
    arrow::kernels::CropBox,
    image::{DecodeOptions, Filter, Image, Mode, SampleType},
    options::{Alpha, OnError},
    preprocess::Size,
};
use serde::{Deserialize, Serialize};

/// How files are decoded, and what is done to each image then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Steps {
    /// How files are decoded, in the place of what the model's options say.
    pub decode: DecodeOptions,
    /// What is done then, in order.
    pub then: Vec<Step>,
    /// What a row does at which decoding or a step fails: an error of the row, or a row without an image.
    pub on_error: OnError,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// To another type of samples, with as many channels.
    Samples(SampleType),
    /// To another mode.
    Convert {
        /// The mode.
        mode: Mode,
        /// What becomes of transparency that it lacks.
        alpha: Alpha,
    },
    /// To another size.
    Resize {
        /// The size.
        size: Size,
        /// The filter.
        filter: Filter,
    },
    /// A rectangle of each image.
    Crop(CropBox),
}

impl Steps {
    /// Whether each step takes pixels one by one. Only then may a file be decoded smaller: a size and a place in the image
    /// mean those of the whole.
    pub(crate) fn keep_size(&self) -> bool {
        self.then.iter().all(|step| matches!(step, Step::Samples(_) | Step::Convert { .. }))
    }

    /// `image` after all steps.
    pub(crate) fn apply(&self, image: Image) -> Result<Image> {
        self.then.iter().try_fold(image, |image, step| step.apply(image))
    }
}

impl Step {
    fn apply(self, image: Image) -> Result<Image> {
        match self {
            Self::Samples(samples) => match Mode::of(samples, image.mode().channels()) {
                Some(mode) => Ok(image.convert(mode, Alpha::Drop)),
                None => Ok(image),
            },
            Self::Convert { mode, alpha } => Ok(image.convert(mode, alpha)),
            Self::Resize { size, filter } => image.resize(size.width, size.height, filter),
            Self::Crop(CropBox { x, y, width, height }) => image.crop(x, y, width, height),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Samples(samples) => write!(f, "{} bits", 8 * samples.bytes()),
            Self::Convert { mode, alpha: Alpha::Drop } => write!(f, "convert to {mode}"),
            Self::Convert { mode, alpha } => write!(f, "convert to {mode} over {alpha}"),
            Self::Resize { size, filter } => write!(f, "resize to {} x {} {filter}", size.width, size.height),
            Self::Crop(CropBox { x, y, width, height }) => write!(f, "crop {width} x {height} at ({x}, {y})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use imbed_core::image::Samples;

    use super::*;

    #[test]
    fn steps_follow_each_other() {
        let image = Image::new(Mode::L16, 4, 2, Samples::U16(vec![257 * 7; 8])).unwrap();
        let steps = Steps {
            decode: DecodeOptions::default(),
            then: vec![
                Step::Samples(SampleType::U8),
                Step::Crop(CropBox { x: 1, y: 0, width: 2, height: 2 }),
                Step::Convert { mode: Mode::Rgb, alpha: Alpha::Drop },
                Step::Resize { size: Size { height: 1, width: 3 }, filter: Filter::Box },
            ],
            on_error: OnError::Raise,
        };
        let shown: Vec<String> = steps.then.iter().map(ToString::to_string).collect();
        assert_eq!(shown.join(", "), "8 bits, crop 2 x 2 at (1, 0), convert to RGB, resize to 3 x 1 box");
        assert!(!steps.keep_size());
        assert_eq!(steps.apply(image).unwrap(), Image::new(Mode::Rgb, 3, 1, Samples::U8(vec![7; 9])).unwrap());
    }
}
