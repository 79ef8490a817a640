//! The filters and their shapes.

use std::{f64::consts::PI, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// How the pixels around a point are weighed. The numbers of Pillow's `Image.Resampling` are in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// The nearest pixel, without antialiasing (0).
    Nearest,
    /// The mean of the pixels under it (4).
    Box,
    /// A triangle (2).
    Bilinear,
    /// A sinc under a Hamming window, as wide as the triangle and sharper (5).
    Hamming,
    /// The cubic of Keys with a = -0.5 (3).
    Bicubic,
    /// A sinc under the middle lobe of one three times as wide (1).
    Lanczos,
}

impl Filter {
    /// Every filter.
    pub const ALL: [Self; 6] = [Self::Nearest, Self::Box, Self::Bilinear, Self::Hamming, Self::Bicubic, Self::Lanczos];

    /// The filter with this number in Pillow's `Image.Resampling`, as `preprocessor_config.json` gives it.
    pub fn from_pil(resample: i64) -> Option<Self> {
        Some(match resample {
            0 => Self::Nearest,
            1 => Self::Lanczos,
            2 => Self::Bilinear,
            3 => Self::Bicubic,
            4 => Self::Box,
            5 => Self::Hamming,
            _ => return None,
        })
    }

    /// The word for it, such as `bicubic`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Box => "box",
            Self::Bilinear => "bilinear",
            Self::Hamming => "hamming",
            Self::Bicubic => "bicubic",
            Self::Lanczos => "lanczos",
        }
    }

    /// How far the filter reaches to each side of a point, in source pixels where nothing is reduced.
    pub(super) fn support(self) -> f64 {
        match self {
            Self::Nearest | Self::Box => 0.5,
            Self::Bilinear | Self::Hamming => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// The weight of a pixel at distance `x`.
    pub(super) fn weight(self, x: f64) -> f64 {
        match self {
            // Half open, so that a pixel between two boxes belongs to one of them.
            Self::Nearest | Self::Box => f64::from(u8::from(x > -0.5 && x <= 0.5)),
            Self::Bilinear => (1.0 - x.abs()).max(0.0),
            Self::Hamming => hamming(x.abs()),
            Self::Bicubic => keys(x.abs()),
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|filter| filter.as_str() == s).ok_or_else(|| {
            Error::new(ErrorKind::BadOption, format!("'{s}' is not a filter"))
                .hint(format!("one of: {}", Self::ALL.map(Self::as_str).join(", ")))
        })
    }
}

fn hamming(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    if x >= 1.0 {
        return 0.0;
    }
    let x = x * PI;
    x.sin() / x * (0.54 + 0.46 * x.cos())
}

/// R. Keys, "Cubic convolution interpolation for digital image processing", 1981, with a = -0.5.
fn keys(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * PI;
    x.sin() / x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_uses_words_and_numbers_are_pils() {
        for filter in Filter::ALL {
            assert_eq!(serde_json::to_value(filter).unwrap(), filter.as_str());
            assert_eq!(filter.to_string().parse::<Filter>().unwrap(), filter);
        }
        assert!("cubic".parse::<Filter>().unwrap_err().hint_text().unwrap().contains("bicubic"));
        assert_eq!(Filter::from_pil(3), Some(Filter::Bicubic));
        assert_eq!(Filter::from_pil(1), Some(Filter::Lanczos));
        assert_eq!(Filter::from_pil(6), None);
    }

    #[test]
    fn every_filter_is_one_in_the_middle_and_nothing_beyond_its_support() {
        for filter in Filter::ALL {
            assert!((filter.weight(0.0) - 1.0).abs() < f64::EPSILON, "{filter:?}");
            assert!(filter.weight(filter.support() + 1e-9).abs() < f64::EPSILON, "{filter:?}");
        }
    }
}
