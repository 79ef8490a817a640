//! JPEGs become Pillow's bytes. The expected ones are made by `fixtures/jpeg.py`.

use std::collections::BTreeMap;

use imbed_core::{
    ErrorKind,
    image::{DecodeOptions, EncodeFormat, Image, Limits, Mode, Orientation, Samples, decode, encode, jpeg_size},
    preprocess::Size,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    pillow: String,
    libjpeg_turbo: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    mode: Mode,
    size: (u32, u32),
    /// The CRC-32 of the pixels.
    pixels: String,
    /// The same of the picture at one of so many parts of its size.
    reduced: BTreeMap<u32, String>,
    /// In hexadecimal.
    file: String,
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        let digits = self.file.as_bytes().as_chunks::<2>().0;
        digits.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }
}

/// Has a picture of `size` (width, height) decoded at one of `by` parts of its size.
fn reduced(size: (u32, u32), by: u32) -> DecodeOptions {
    let at_least = Some(Size { height: size.1.div_ceil(by), width: size.0.div_ceil(by) });
    DecodeOptions { at_least, ..DecodeOptions::default() }
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("fixtures/jpeg.json")).unwrap()
}

fn file(name: &str) -> Vec<u8> {
    golden().cases.into_iter().find(|case| case.name == name).unwrap().bytes()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// Where the frame header's marker starts.
fn frame(file: &[u8]) -> usize {
    file.windows(2).position(|w| matches!(w, [0xff, 0xc0..=0xc2])).unwrap()
}

#[test]
fn every_pixel_is_pillows() {
    let golden = golden();
    assert!(golden.cases.len() >= 35);
    for case in &golden.cases {
        let image = decode(&case.bytes(), &DecodeOptions::default()).unwrap();
        let made_by = format!("{} (Pillow {}, libjpeg-turbo {})", case.name, golden.pillow, golden.libjpeg_turbo);
        assert_eq!((image.mode(), image.width(), image.height()), (case.mode, case.size.0, case.size.1), "{made_by}");
        assert_eq!(format!("{:08x}", crc32(image.as_u8().unwrap())), case.pixels, "{made_by}");
    }
}

#[test]
fn every_pixel_of_a_smaller_picture_is_pillows() {
    let golden = golden();
    let mut wrong = Vec::new();
    for case in &golden.cases {
        for (by, pixels) in &case.reduced {
            let image = decode(&case.bytes(), &reduced(case.size, *by)).unwrap();
            let size = (case.size.0.div_ceil(*by), case.size.1.div_ceil(*by));
            assert_eq!((image.mode(), image.width(), image.height()), (case.mode, size.0, size.1), "{}", case.name);
            if format!("{:08x}", crc32(image.as_u8().unwrap())) != *pixels {
                wrong.push(format!("{} at 1/{by}", case.name));
            }
        }
    }
    let made_by = format!("Pillow {}, libjpeg-turbo {}", golden.pillow, golden.libjpeg_turbo);
    assert!(wrong.is_empty(), "other pixels than those of {made_by}: {wrong:#?}");
}

#[test]
fn a_least_size_is_that_of_the_upright_picture() {
    let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let length = (exif.len() as u16 + 2).to_be_bytes();
    let turned = |stored: &[u8]| [&stored[..2], &[0xff, 0xe1], &length, exif, &stored[2..]].concat();
    let samples = (0..88 * 72 * 3).map(|i: u32| (i / 83) as u8).collect();
    let picture = Image::new(Mode::Rgb, 88, 72, Samples::U8(samples)).unwrap();
    let stored = encode(&picture, EncodeFormat::Jpeg { quality: 90 }).unwrap();
    let options = reduced((72, 88), 2);
    assert_eq!(jpeg_size(&turned(&stored), &options), Some(Size { height: 88, width: 72 }));
    let image = decode(&turned(&stored), &options).unwrap();
    assert_eq!((image.width(), image.height()), (36, 44));
    let half = decode(&stored, &reduced((88, 72), 2)).unwrap();
    assert_eq!(image, half.oriented(Orientation::Rotate90).unwrap());
    // As it is stored, 44 rows ask for more than half of 72.
    let as_stored = DecodeOptions { exif_orientation: false, ..options };
    assert_eq!(jpeg_size(&turned(&stored), &as_stored), Some(Size { height: 72, width: 88 }));
    assert_eq!(decode(&turned(&stored), &as_stored).unwrap(), decode(&stored, &DecodeOptions::default()).unwrap());
    // Turned, its last row and column would be its first, and stand for fewer pixels than the others.
    let image = decode(&turned(&file("4:2:0 85x71")), &reduced((71, 85), 2)).unwrap();
    assert_eq!((image.width(), image.height()), (71, 85));
}

#[test]
fn what_cannot_be_decoded_smaller_is_decoded_in_full() {
    let jpeg = file("4:2:0 85x71");
    let whole = decode(&jpeg, &DecodeOptions::default()).unwrap();
    for (height, width) in [(72, 1), (1, 86), (71, 85), (u32::MAX, u32::MAX)] {
        let options = DecodeOptions { at_least: Some(Size { height, width }), ..DecodeOptions::default() };
        assert_eq!(decode(&jpeg, &options).unwrap(), whole, "{height} x {width}");
    }
    let png = encode(&whole, EncodeFormat::Png).unwrap();
    assert_eq!(decode(&png, &reduced((85, 71), 8)).unwrap(), whole);
    assert_eq!(jpeg_size(&png, &DecodeOptions::default()), None);
    assert_eq!(jpeg_size(&jpeg[..20], &DecodeOptions::default()), None);
}

#[test]
fn a_cut_file_is_an_error_at_every_size_unless_that_is_allowed() {
    for name in ["4:2:0 85x71", "4:2:2 85x71 progressive"] {
        let whole = file(name);
        // A progressive picture has its brightness at 1/8 at the very start.
        let cut = &whole[..whole.len() * 3 / 4];
        let exact = decode(cut, &DecodeOptions::default()).unwrap_err();
        for by in [2, 4, 8] {
            let options = reduced((85, 71), by);
            let error = decode(cut, &options).unwrap_err();
            assert_eq!((error.kind(), error.message()), (exact.kind(), exact.message()), "{name} at 1/{by}");
            let part = decode(cut, &DecodeOptions { allow_truncated: true, ..options }).unwrap();
            let small = decode(&whole, &options).unwrap();
            assert_eq!((part.width(), part.height()), (small.width(), small.height()), "{name} at 1/{by}");
            if !name.ends_with("progressive") {
                // The first row of blocks came through whole; its last row of samples waits for the next.
                let rows = (16 / by as usize - 1).max(1) * small.width() as usize * 3;
                assert_eq!(part.as_u8().unwrap()[..rows], small.as_u8().unwrap()[..rows], "{name} at 1/{by}");
            }
        }
    }
}

#[test]
fn nothing_of_an_image_shows_in_one_that_gets_its_memory() {
    let white = Image::new(Mode::Rgb, 200, 200, Samples::U8(vec![255; 200 * 200 * 3])).unwrap();
    for case in golden().cases {
        let whole = case.bytes();
        for file in [&whole[..], &whole[..whole.len() * 2 / 3]] {
            for by in [1, 2, 4, 8] {
                let options = DecodeOptions { allow_truncated: true, ..reduced(case.size, by) };
                let Ok(fresh) = decode(file, &options) else { continue };
                white.clone().recycle();
                assert_eq!(decode(file, &options).unwrap(), fresh, "{} at 1/{by}", case.name);
            }
        }
    }
}

#[test]
fn limits_are_held_against_the_whole_picture() {
    for (name, limits) in [
        ("4:2:0 85x71", Limits { max_pixels: 85 * 71 - 1, ..Limits::default() }),
        ("4:2:0 85x71", Limits { max_side: 84, ..Limits::default() }),
        ("4:2:0 85x71 progressive", Limits { max_alloc: 85 * 71 * 3, ..Limits::default() }),
    ] {
        for options in [DecodeOptions::default(), reduced((85, 71), 8)] {
            let error = decode(&file(name), &DecodeOptions { limits, ..options }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit, "{name} {limits:?}");
        }
    }
}

#[test]
fn codings_that_are_not_decoded_are_named() {
    let whole = file("4:2:0 35x19");
    let at = frame(&whole);
    for (changes, name) in [
        (&[(1, 0xc3)][..], "lossless coding"),
        (&[(1, 0xc5)], "hierarchical coding"),
        (&[(1, 0xc9)], "arithmetic coding"),
        (&[(4, 12)], "12 bits a sample"),
        (&[(6, 0)], "DNL"),
        (&[(9, 2), (3, 14)], "2 components"),
        (&[(11, 0x32), (14, 0x21)], "a component sampled 2 x 1 beside one sampled 3 x 2"),
    ] {
        let mut file = whole.clone();
        for (offset, byte) in changes {
            file[at + offset] = *byte;
        }
        let error = decode(&file, &DecodeOptions::default()).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.message().contains(name), "{error}");
    }
}

#[test]
fn a_missing_table_is_told_with_its_place() {
    let mut file = file("grey");
    let at = file.windows(2).position(|w| w == [0xff, 0xdb]).unwrap();
    // The quantisation table becomes a comment.
    file[at + 1] = 0xfe;
    let error = decode(&file, &DecodeOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.message().contains("quantisation table 0 is missing (at byte"), "{error}");
}

#[test]
fn coefficients_that_must_be_gathered_are_held_against_the_limit() {
    let (width, height) = (27, 21);
    let limits = Limits { max_alloc: width * height * 3, ..Limits::default() };
    let options = DecodeOptions { limits, ..DecodeOptions::default() };
    let error = decode(&file("progressive 4:2:0"), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.hint_text().unwrap().contains("--max-alloc"), "{error}");
}

#[test]
fn scans_without_end_are_refused() {
    let whole = file("progressive 4:4:4");
    let scan = whole.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
    let end = whole.len() - 2;
    let more = [&[0xff, 0xda, 0, 8, 1, whole[scan + 5], 0, 0, 0, 0x10][..], &[0x55; 16]].concat();
    let file = [&whole[..end], &more.repeat(5000), &whole[end..]].concat();
    let error = decode(&file, &DecodeOptions::default()).unwrap_err();
    assert!(error.message().contains("coded more than"), "{error}");
}

#[test]
fn damage_within_a_scan_ends_at_the_next_restart() {
    let whole = file("restarts");
    let restart = whole.windows(2).rposition(|w| matches!(w, [0xff, 0xd0..=0xd7])).unwrap();
    let mut damaged = whole.clone();
    damaged[restart - 6..restart].fill(0x55);
    let (whole, damaged) = (decode(&whole, &DecodeOptions::default()), decode(&damaged, &DecodeOptions::default()));
    let (whole, damaged) = (whole.unwrap(), damaged.unwrap());
    assert_ne!(whole, damaged);
    let tail = |image: &imbed_core::image::Image| image.as_u8().unwrap()[39 * 3..].last_chunk::<3>().copied();
    assert_eq!(tail(&whole), tail(&damaged));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_panics(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
        allow_truncated: bool,
        at_least in prop::option::of((0..90_u32, 0..90_u32)),
    ) {
        let cases = golden().cases;
        let mut file = which.get(&cases).bytes();
        for (at, byte) in flips {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()) + 1);
        }
        // A damaged size is no reason to fill the memory with it.
        let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
        let at_least = at_least.map(|(height, width)| Size { height, width });
        match decode(&file, &DecodeOptions { limits, allow_truncated, at_least, ..DecodeOptions::default() }) {
            Ok(image) => prop_assert!(image.width() > 0),
            Err(error) => prop_assert!(!error.message().contains("panicked"), "{}", error),
        }
    }

    #[test]
    fn a_smaller_picture_has_the_smallest_size_that_suffices(
        which in any::<prop::sample::Index>(),
        size in (1..150_u16, 1..150_u16),
        factors in prop::collection::vec(prop::sample::select(vec![0x11_u8, 0x12, 0x21, 0x22, 0x14, 0x41, 0x24]), 4),
        at_least in (0..160_u32, 0..160_u32),
    ) {
        let cases = golden().cases;
        let mut file = which.get(&cases).bytes();
        // Another size and other sampling factors: what the data mean by then is all the same.
        let at = frame(&file);
        file[at + 5..at + 7].copy_from_slice(&size.1.to_be_bytes());
        file[at + 7..at + 9].copy_from_slice(&size.0.to_be_bytes());
        for number in 0..usize::from(file[at + 9]) {
            file[at + 11 + 3 * number] = factors[number];
        }
        let exact = decode(&file, &DecodeOptions::default());
        let (width, height) = at_least;
        let options = DecodeOptions { at_least: Some(Size { height, width }), ..DecodeOptions::default() };
        match (exact, decode(&file, &options)) {
            (Ok(exact), Ok(image)) => {
                let sizes = [8, 4, 2].map(|by| (exact.width().div_ceil(by), exact.height().div_ceil(by)));
                let wanted = sizes.into_iter().find(|(w, h)| *w >= width && *h >= height);
                prop_assert_eq!((image.width(), image.height()), wanted.unwrap_or((exact.width(), exact.height())));
                prop_assert_eq!(image.mode(), exact.mode());
            }
            (Err(exact), Err(error)) => prop_assert_eq!(exact.message(), error.message()),
            (exact, image) => prop_assert!(false, "{:?} {:?}", exact.err(), image.err()),
        }
    }
}
