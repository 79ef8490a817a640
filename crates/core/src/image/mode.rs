//! What the samples of an image mean.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Samples;
use crate::{Error, ErrorKind};

/// The channels of a pixel and the type of each sample. The words are PIL's where PIL has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// Grey, 8 bits.
    #[serde(rename = "L")]
    L,
    /// Grey and alpha, 8 bits.
    #[serde(rename = "LA")]
    La,
    /// Red, green, blue, 8 bits.
    #[serde(rename = "RGB")]
    Rgb,
    /// Red, green, blue, alpha, 8 bits.
    #[serde(rename = "RGBA")]
    Rgba,
    /// Grey, 16 bits.
    #[serde(rename = "L16")]
    L16,
    /// Grey and alpha, 16 bits.
    #[serde(rename = "LA16")]
    La16,
    /// Red, green, blue, 16 bits.
    #[serde(rename = "RGB16")]
    Rgb16,
    /// Red, green, blue, alpha, 16 bits.
    #[serde(rename = "RGBA16")]
    Rgba16,
    /// Red, green, blue, 32-bit floats.
    #[serde(rename = "RGB32F")]
    Rgb32F,
    /// Red, green, blue, alpha, 32-bit floats.
    #[serde(rename = "RGBA32F")]
    Rgba32F,
}

/// The type of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleType {
    /// 8 bits.
    U8,
    /// 16 bits.
    U16,
    /// 32-bit float.
    F32,
}

impl SampleType {
    /// Size of one sample in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::F32 => 4,
        }
    }
}

impl Mode {
    /// Every mode, in the order of its [`number`](Self::number).
    pub const ALL: [Self; 10] = [
        Self::L,
        Self::La,
        Self::Rgb,
        Self::Rgba,
        Self::L16,
        Self::La16,
        Self::Rgb16,
        Self::Rgba16,
        Self::Rgb32F,
        Self::Rgba32F,
    ];

    /// The word for it, such as `RGB`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L => "L",
            Self::La => "LA",
            Self::Rgb => "RGB",
            Self::Rgba => "RGBA",
            Self::L16 => "L16",
            Self::La16 => "LA16",
            Self::Rgb16 => "RGB16",
            Self::Rgba16 => "RGBA16",
            Self::Rgb32F => "RGB32F",
            Self::Rgba32F => "RGBA32F",
        }
    }

    /// Samples per pixel.
    pub const fn channels(self) -> usize {
        match self {
            Self::L | Self::L16 => 1,
            Self::La | Self::La16 => 2,
            Self::Rgb | Self::Rgb16 | Self::Rgb32F => 3,
            Self::Rgba | Self::Rgba16 | Self::Rgba32F => 4,
        }
    }

    /// The type of each sample.
    pub const fn sample_type(self) -> SampleType {
        match self {
            Self::L | Self::La | Self::Rgb | Self::Rgba => SampleType::U8,
            Self::L16 | Self::La16 | Self::Rgb16 | Self::Rgba16 => SampleType::U16,
            Self::Rgb32F | Self::Rgba32F => SampleType::F32,
        }
    }

    /// Size of one pixel in bytes.
    pub const fn bytes_per_pixel(self) -> usize {
        self.channels() * self.sample_type().bytes()
    }

    /// Whether the last channel is alpha.
    pub const fn has_alpha(self) -> bool {
        matches!(self.channels(), 2 | 4)
    }

    /// Whether `samples` are of this mode's type.
    pub fn fits(self, samples: &Samples) -> bool {
        self.sample_type() == samples.sample_type()
    }

    /// The number that stands for this mode in Daft's image columns: 1 for `L` up to 10 for `RGBA32F`.
    pub const fn number(self) -> u8 {
        match self {
            Self::L => 1,
            Self::La => 2,
            Self::Rgb => 3,
            Self::Rgba => 4,
            Self::L16 => 5,
            Self::La16 => 6,
            Self::Rgb16 => 7,
            Self::Rgba16 => 8,
            Self::Rgb32F => 9,
            Self::Rgba32F => 10,
        }
    }

    /// The mode with this [`number`](Self::number).
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.number() == number)
    }

    /// The mode of `channels` samples of type `samples` per pixel, where there is one.
    pub fn of(samples: SampleType, channels: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.sample_type() == samples && mode.channels() == channels)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == s).ok_or_else(|| {
            Error::new(ErrorKind::BadOption, format!("'{s}' is not an image mode"))
                .hint(format!("one of: {}", Self::ALL.map(Self::as_str).join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_numbers_and_json_lead_back_to_the_mode() {
        for (i, mode) in Mode::ALL.into_iter().enumerate() {
            assert_eq!(mode.to_string().parse::<Mode>().unwrap(), mode);
            assert_eq!(usize::from(mode.number()), i + 1);
            assert_eq!(Mode::from_number(mode.number()), Some(mode));
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
            assert_eq!(Mode::of(mode.sample_type(), mode.channels()), Some(mode));
        }
        assert_eq!(Mode::from_number(0), None);
        assert_eq!(Mode::of(SampleType::F32, 1), None);
    }

    #[test]
    fn an_unknown_word_lists_all_modes() {
        let error = "CMYK".parse::<Mode>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadOption);
        assert!(error.hint_text().unwrap().contains("L, LA, RGB, RGBA, L16, LA16, RGB16, RGBA16, RGB32F, RGBA32F"));
    }
}
