//! Recipes give the bytes and the numbers of `transformers`' image processors. The expected ones are made by
//! `fixtures/processors.py`.

use imbed_core::{
    PixelBatch,
    image::{Image, Mode, Samples},
    options::Alpha,
    preprocess::{Size, from_preprocessor_config},
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Golden {
    transformers: String,
    pillow: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    config: Value,
    width: u32,
    height: u32,
    kind: Kind,
    seed: u64,
    size: (u32, u32),
    /// Of the bytes; `None` where the reference has none and its numbers are nearly ours.
    digest: Option<String>,
    /// Places in `[height, width, 3]` and the model's numbers there.
    numbers: Vec<(usize, f32)>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Noise,
    Hard,
    Smooth,
}

/// The output function of splitmix64.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The image that the script computes by the same formula.
fn picture(case: &Case) -> Image {
    let (width, height, seed) = (u64::from(case.width), u64::from(case.height), case.seed);
    let sample = |i: u64| {
        let (x, y, c) = (i / 3 % width, i / 3 / width, i % 3);
        match case.kind {
            Kind::Noise => (mix(i + (seed << 32)) >> 56) as u8,
            Kind::Hard => {
                if mix(i + (seed << 32)) >> 63 == 1 {
                    255
                } else {
                    0
                }
            }
            Kind::Smooth => {
                let wave = (x * (3 + seed % 5) + y * (2 + seed % 3) + c * 85 + x * y / 64) % 510;
                wave.min(509 - wave) as u8
            }
        }
    };
    let samples = (0..width * height * 3).map(sample).collect();
    Image::new(Mode::Rgb, case.width, case.height, Samples::U8(samples)).unwrap()
}

/// A sum of the bytes, each weighed by a hash of its place.
fn digest(pixels: &[u8]) -> String {
    let total = pixels
        .iter()
        .zip(0..)
        .fold(0_u64, |total, (byte, place)| total.wrapping_add((u64::from(*byte) + 1).wrapping_mul(mix(place))));
    format!("{total:016x}")
}

/// The number at a place of `[height, width, 3]`, out of `[3, height, width]`.
fn number(planes: &[f32], place: usize) -> f32 {
    planes[place % 3 * (planes.len() / 3) + place / 3]
}

#[test]
fn bytes_and_numbers_are_those_of_the_reference() {
    let golden: Golden = serde_json::from_str(include_str!("fixtures/processors.json")).unwrap();
    assert!(golden.cases.len() >= 300);
    for case in &golden.cases {
        let place = format!(
            "transformers {}, Pillow {}, case {}: {} on {:?} of {} x {}",
            golden.transformers, golden.pillow, case.seed, case.config, case.kind, case.width, case.height
        );
        let recipe = from_preprocessor_config(&case.config).unwrap_or_else(|e| panic!("{place}: {e}"));
        let image = picture(case);
        let size = recipe.output_size_for(Size { height: case.height, width: case.width });
        assert_eq!((size.height, size.width), case.size, "{place}");
        let mut pixels = vec![0; size.bytes() as usize];
        recipe.run(&image, Alpha::Drop, &mut pixels).unwrap_or_else(|e| panic!("{place}: {e}"));
        if let Some(wanted) = &case.digest {
            assert_eq!(digest(&pixels), *wanted, "{place}");
        }

        let batch = PixelBatch::from_vec(pixels, size.height as usize, size.width as usize).unwrap();
        let mut planes = vec![0.0; batch.data().len()];
        recipe.normalize.apply(&batch, &mut planes);
        for (at, wanted) in &case.numbers {
            let got = number(&planes, *at);
            if case.digest.is_some() {
                assert_eq!(got, *wanted, "{place}, number {at}");
            } else {
                // Rounded to bytes twice, once for each side.
                let step = recipe.normalize.scale / recipe.normalize.std[at % 3];
                assert!(f64::from((got - wanted).abs()) <= step, "{place}, number {at}: {got} and {wanted}");
            }
        }
    }
}
