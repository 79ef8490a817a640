//! Files of every format become Pillow's pixels. The expected ones are made by `fixtures/formats.py`.

use std::sync::LazyLock;

use imbed_core::{
    ErrorKind,
    image::{DecodeOptions, Format, Limits, decode, sniff},
    options::{Alpha, Icc},
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    pillow: String,
    /// In hexadecimal.
    files: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    file: usize,
    size: (u32, u32),
    frame: u32,
    /// How many the file has.
    frames: u32,
    icc: bool,
    /// The most by which a sample may differ.
    tolerance: u8,
    /// The pixels in hexadecimal, or their CRC-32 where none may differ.
    rgb: String,
}

impl Case {
    fn options(&self) -> DecodeOptions {
        let icc = if self.icc { Icc::Srgb } else { Icc::Ignore };
        DecodeOptions { frame: self.frame, icc, ..DecodeOptions::default() }
    }
}

static GOLDEN: LazyLock<Golden> =
    LazyLock::new(|| serde_json::from_str(include_str!("fixtures/formats.json")).unwrap());
static FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| GOLDEN.files.iter().map(|file| unhex(file)).collect());

/// The same, and files of the formats that Pillow does not write.
static ALL_FILES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let floats =
        image::DynamicImage::from(image::Rgb32FImage::from_fn(9, 5, |x, y| image::Rgb([x as f32, y as f32, 0.5])));
    let words = image::DynamicImage::ImageRgba16(floats.to_rgba16());
    let encoded = |image: &image::DynamicImage, format| {
        let mut file = std::io::Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        file.into_inner()
    };
    let others = [
        encoded(&floats, image::ImageFormat::OpenExr),
        encoded(&floats, image::ImageFormat::Hdr),
        encoded(&words, image::ImageFormat::Farbfeld),
    ];
    FILES.iter().cloned().chain(others).collect()
});

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().as_chunks::<2>().0;
    pairs.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

fn differs(case: &Case, file: &[u8]) -> Option<String> {
    let image = match decode(file, &case.options()) {
        Ok(image) => image,
        Err(error) => return Some(error.to_string()),
    };
    if (image.width(), image.height()) != case.size {
        return Some(format!("{} x {} instead of {:?}", image.width(), image.height(), case.size));
    }
    let pixels = image.to_rgb8(Alpha::Drop);
    if case.tolerance == 0 {
        return (format!("{:08x}", crc32(&pixels)) != case.rgb).then(|| format!("other pixels: {pixels:?}"));
    }
    let apart = pixels.iter().zip(unhex(&case.rgb)).map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0);
    (apart > case.tolerance).then(|| format!("{apart} apart where {} are allowed", case.tolerance))
}

#[test]
fn every_pixel_is_pillows() {
    assert!(GOLDEN.cases.len() >= 250);
    let wrong = GOLDEN.cases.iter().filter_map(|case| Some((&case.name, differs(case, &FILES[case.file])?)));
    let wrong: Vec<_> = wrong.map(|(name, how)| format!("{name}: {how:.200}")).collect();
    assert!(wrong.is_empty(), "{} differ from Pillow {}:\n{}", wrong.len(), GOLDEN.pillow, wrong.join("\n"));
}

#[test]
fn a_frame_beyond_the_last_is_an_error_that_counts_them() {
    for case in &GOLDEN.cases {
        for frame in [case.frames, case.frames + 1000] {
            let options = DecodeOptions { frame, ..case.options() };
            let error = decode(&FILES[case.file], &options).expect_err(&case.name);
            assert_eq!(error.kind(), ErrorKind::Decode, "{}: {error}", case.name);
            let count = if case.frames == 1 { "one picture".into() } else { format!("{} frames", case.frames) };
            assert!(error.message().contains(&count), "{}: {error}", case.name);
        }
    }
}

#[test]
fn a_cut_file_is_an_error_or_all_there_is() {
    let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
    for case in &GOLDEN.cases {
        let file = &FILES[case.file];
        let whole = decode(file, &case.options());
        for part in [1, 9, 50, 77, 95] {
            let cut = &file[..file.len() * part / 100];
            let strict = decode(cut, &DecodeOptions { limits, ..case.options() });
            // Half a picture never passes for a whole one. A profile or a last marker may be missing.
            if let (Ok(strict), Ok(whole)) = (&strict, &whole) {
                assert!(case.icc || strict == whole, "{} cut to {part} %", case.name);
            }
            let lenient = DecodeOptions { limits, allow_truncated: true, ..case.options() };
            if let Err(error) = decode(cut, &lenient) {
                assert!(!error.message().contains("panicked"), "{} cut to {part} %: {error}", case.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_panics(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
        frame in 0..3_u32,
        allow_truncated: bool,
    ) {
            let mut file = which.get(&ALL_FILES[..]).clone();
        for (at, byte) in flips {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()) + 1);
        }
        // A damaged size is no reason to fill the memory with it.
        let limits = Limits { max_pixels: 1 << 18, max_alloc: 1 << 24, ..Limits::default() };
        match decode(&file, &DecodeOptions { limits, frame, allow_truncated, icc: Icc::Srgb, ..DecodeOptions::default() }) {
            Ok(image) => prop_assert!(image.width() > 0),
            Err(error) => prop_assert!(!error.message().contains("panicked"), "{}", error),
        }
    }

    #[test]
    fn no_bytes_panic(format in prop::sample::select(Format::ALL.to_vec()), noise in prop::collection::vec(any::<u8>(), 0..300)) {
            // The start of a real file, so that its decoder is reached.
        let start = ALL_FILES.iter().find(|file| sniff(file) == Some(format)).map_or(&[][..], Vec::as_slice);
        let file = [&start[..start.len().min(noise.len() % 32)], &noise].concat();
        let limits = Limits { max_pixels: 1 << 18, max_alloc: 1 << 24, ..Limits::default() };
        if let Err(error) = decode(&file, &DecodeOptions { limits, ..DecodeOptions::default() }) {
            prop_assert!(!error.message().contains("panicked"), "{}", error);
        }
    }
}
