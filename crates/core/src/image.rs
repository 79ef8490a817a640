//! Images: decoding, orientation, conversion, resizing, cropping and encoding, one image at a time.

mod convert;
mod crop;
mod decode;
mod encode;
mod format;
mod limits;
mod mode;
mod orientation;
mod recycled;
mod resize;

use crate::{Error, ErrorKind, Result};

pub use decode::{DecodeOptions, decode, jpeg_size};
pub use encode::{EncodeFormat, encode};
pub use format::{Format, sniff};
pub use limits::Limits;
pub use mode::{Mode, SampleType};
pub use orientation::Orientation;
pub use resize::Filter;
pub(crate) use resize::{Window, resize_rgb};

/// The samples of an image in the type of its mode.
#[derive(Debug, Clone, PartialEq)]
pub enum Samples {
    /// 8 bits per sample.
    U8(Vec<u8>),
    /// 16 bits per sample.
    U16(Vec<u16>),
    /// 32-bit floats, 0 to 1 for the displayable range.
    F32(Vec<f32>),
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(s) => s.len(),
            Self::U16(s) => s.len(),
            Self::F32(s) => s.len(),
        }
    }

    /// The type of each sample.
    pub fn sample_type(&self) -> SampleType {
        match self {
            Self::U8(_) => SampleType::U8,
            Self::U16(_) => SampleType::U16,
            Self::F32(_) => SampleType::F32,
        }
    }

    /// So many zeros of a type.
    pub(crate) fn zeros(sample_type: SampleType, length: usize) -> Self {
        match sample_type {
            SampleType::U8 => Self::U8(vec![0; length]),
            SampleType::U16 => Self::U16(vec![0; length]),
            SampleType::F32 => Self::F32(vec![0.0; length]),
        }
    }

    /// The bytes that the samples are made of, in this machine's order: for decoders that write bytes, whatever they mean.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::U8(s) => s,
            Self::U16(s) => bytemuck::cast_slice_mut(s),
            Self::F32(s) => bytemuck::cast_slice_mut(s),
        }
    }

    /// Forgets all samples but the first `length`.
    pub(crate) fn truncate(&mut self, length: usize) {
        match self {
            Self::U8(s) => s.truncate(length),
            Self::U16(s) => s.truncate(length),
            Self::F32(s) => s.truncate(length),
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A decoded image: `[height, width, channels]`, row-major, channels interleaved.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    mode: Mode,
    width: u32,
    height: u32,
    samples: Samples,
}

impl Image {
    /// An image of `width` x `height` pixels; an error if the number or the type of the samples does not fit the mode.
    pub fn new(mode: Mode, width: u32, height: u32, samples: Samples) -> Result<Self> {
        let wanted = u64::from(width) * u64::from(height) * mode.channels() as u64;
        if samples.len() as u64 != wanted || !mode.fits(&samples) {
            return Err(Error::new(
                ErrorKind::Dimensions,
                format!("{} samples do not make a {mode} image of {width} x {height}", samples.len()),
            ));
        }
        Ok(Self { mode, width, height, samples })
    }

    /// What the samples mean.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The samples, `[height, width, channels]`.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// The samples if they are bytes.
    pub fn as_u8(&self) -> Option<&[u8]> {
        match &self.samples {
            Samples::U8(samples) => Some(samples),
            _ => None,
        }
    }
}
