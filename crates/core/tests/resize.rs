//! Resizing gives Pillow's bytes. The expected ones are made by `fixtures/resize.py`.

use imbed_core::image::{Filter, Image, Mode, Samples};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    pillow: String,
    cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    mode: Mode,
    from: (u32, u32),
    to: (u32, u32),
    resample: i64,
    hard: bool,
    hex: String,
}

impl Case {
    /// The image that the script computes by the same formula.
    fn source(&self) -> Image {
        let n = u64::from(self.from.0) * u64::from(self.from.1) * self.mode.channels() as u64;
        let sample = |i: u64| (i * i * 31 + i * 7 + (i >> 3) * 13) as u8;
        let hard = |s: u8| if s > 127 { 255 } else { 0 };
        let samples = (0..n).map(sample).map(|s| if self.hard { hard(s) } else { s }).collect();
        Image::new(self.mode, self.from.0, self.from.1, Samples::U8(samples)).unwrap()
    }
}

#[test]
fn every_byte_is_pillows() {
    let golden: Golden = serde_json::from_str(include_str!("fixtures/resize.json")).unwrap();
    assert!(golden.cases.len() >= 48);
    for case in &golden.cases {
        let filter = Filter::from_pil(case.resample).unwrap();
        let resized = case.source().resize(case.to.0, case.to.1, filter).unwrap();
        let bytes: Vec<u8> =
            (0..case.hex.len()).step_by(2).map(|i| u8::from_str_radix(&case.hex[i..i + 2], 16).unwrap()).collect();
        assert_eq!(
            resized.as_u8().unwrap(),
            bytes,
            "Pillow {}, {filter:?}, {:?} {:?} to {:?}",
            golden.pillow,
            case.mode,
            case.from,
            case.to
        );
    }
}
