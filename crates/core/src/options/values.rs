//! The types of option values that are words or numbers with a rule.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// Declares an enum whose values are words, with `Display`, `FromStr` and serde through those words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident, $what:literal { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* #[serde(rename = $word)] $variant),+ }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(s: &str) -> Result<Self, Error> {
                match s {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Error::new(ErrorKind::BadOption, format!(concat!("'{}' is not ", $what), s))
                        .hint(concat!("one of:" $(, " ", $word)+))),
                }
            }
        }
    };
}

words! {
    /// What a row that cannot be embedded does to the run.
    #[derive(Default)]
    OnError, "a way to treat errors" {
        /// Stops the run with the row's error.
        #[default]
        Raise = "raise",
        /// The row becomes null and its error is logged.
        Log = "log",
        /// The row becomes null; the error is counted only.
        Ignore = "ignore",
    }
}

words! {
    /// A number type.
    Dtype, "a number type" {
        /// IEEE single precision.
        F32 = "f32",
        /// The upper half of single precision.
        Bf16 = "bf16",
        /// IEEE half precision.
        F16 = "f16",
        /// Bytes, with a scale for each output of the weights and a scale and an offset for each token, found when it comes.
        Int8 = "int8",
        /// The fastest on the machine at hand whose vectors stay close to those of f32.
        Auto = "auto",
    }
}

words! {
    /// How a transformer's tokens become one vector.
    Pooling, "a pooling" {
        /// The class token after the last norm.
        Cls = "cls",
        /// The mean of the patch tokens.
        Mean = "mean",
        /// The checkpoint's pooling head: a dense layer and tanh over the class token.
        Pooler = "pooler",
    }
}

words! {
    /// What becomes of a colour profile that an image carries.
    #[derive(Default)]
    Icc, "a way to treat colour profiles" {
        /// Samples are taken as they stand, as PIL's `convert("RGB")` does.
        #[default]
        Ignore = "ignore",
        /// Colours are converted to sRGB.
        Srgb = "srgb",
    }
}

words! {
    /// How much of a JPEG is decoded that is much larger than what the model reads.
    #[derive(Default)]
    Decoding, "a way to decode" {
        /// Every pixel, as PIL has it.
        #[default]
        Exact = "exact",
        /// As few as [`Preprocess::decode_reduced`](crate::preprocess::Preprocess::decode_reduced) makes of it.
        Fast = "fast",
    }
}

/// What becomes of transparency when an image is converted to RGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Alpha {
    /// Dropped, as PIL's `convert("RGB")` does: the colour under a transparent pixel shows.
    #[default]
    Drop,
    /// Laid over this RGB colour.
    Over([u8; 3]),
}

impl fmt::Display for Alpha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop => f.write_str("drop"),
            Self::Over([255, 255, 255]) => f.write_str("white"),
            Self::Over([0, 0, 0]) => f.write_str("black"),
            Self::Over([r, g, b]) => write!(f, "#{r:02x}{g:02x}{b:02x}"),
        }
    }
}

impl FromStr for Alpha {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::new(ErrorKind::BadOption, format!("'{s}' is not a way to treat transparency"))
                .hint("one of: drop, white, black, #rrggbb")
        };
        match s {
            "drop" => return Ok(Self::Drop),
            "white" => return Ok(Self::Over([255; 3])),
            "black" => return Ok(Self::Over([0; 3])),
            _ => {}
        }
        let hex = s.strip_prefix('#').filter(|h| h.len() == 6 && h.bytes().all(|b| b.is_ascii_hexdigit()));
        let rgb = u32::from_str_radix(hex.ok_or_else(wrong)?, 16).map_err(|_| wrong())?;
        let [_, r, g, b] = rgb.to_be_bytes();
        Ok(Self::Over([r, g, b]))
    }
}

/// GPUs per worker: a whole number, or a fraction of one GPU that workers share.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(into = "f64", try_from = "f64")]
pub struct GpuCount(f64);

impl GpuCount {
    /// `count` GPUs: 0, a fraction below 1, or a whole number.
    pub fn new(count: f64) -> Result<Self, Error> {
        if count.is_finite() && (0.0..=1024.0).contains(&count) && (count < 1.0 || count.fract() == 0.0) {
            return Ok(Self(count));
        }
        Err(Error::new(ErrorKind::BadOption, format!("{count} is not a number of GPUs"))
            .hint("give a whole number, or a fraction below 1 to share a GPU between workers"))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

macro_rules! through_string {
    ($($name:ident),+) => {$(
        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(s: String) -> Result<Self, Error> {
                s.parse()
            }
        }
    )+};
}
through_string!(Alpha);

impl From<GpuCount> for f64 {
    fn from(count: GpuCount) -> Self {
        count.0
    }
}

impl TryFrom<f64> for GpuCount {
    type Error = Error;

    fn try_from(count: f64) -> Result<Self, Error> {
        Self::new(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_reads_words_and_colours() {
        for (text, alpha) in
            [("drop", Alpha::Drop), ("white", Alpha::Over([255; 3])), ("#0a0b0c", Alpha::Over([10, 11, 12]))]
        {
            assert_eq!(text.parse::<Alpha>().unwrap(), alpha);
            assert_eq!(alpha.to_string(), text);
        }
        for wrong in ["#12345", "#12345g", "#+12345", "blue", ""] {
            assert!(wrong.parse::<Alpha>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn gpus_are_whole_or_a_share_of_one() {
        for good in [0.0, 0.25, 1.0, 4.0] {
            assert!(GpuCount::new(good).is_ok());
        }
        for bad in [-1.0, 1.5, f64::NAN, f64::INFINITY] {
            assert!(GpuCount::new(bad).is_err());
        }
    }

    #[test]
    fn a_wrong_word_lists_the_right_ones() {
        let error = "explode".parse::<OnError>().unwrap_err();
        assert!(error.hint_text().unwrap().contains("raise log ignore"));
    }
}
