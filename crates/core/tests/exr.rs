//! `OpenEXR` against the decoder of the crate `image`, which reads it in its own way: other windows, blocks and kinds of samples.

#[path = "support/exr.rs"]
mod support;

use image::{ColorType, ImageDecoder, codecs::openexr::OpenExrDecoder};
use imbed_core::{
    ErrorKind,
    image::{DecodeOptions, Mode, Samples, decode},
};
use support::Stored;

/// Size of the layer, where it begins in the picture, size of the picture.
type Windows = ((usize, usize), (i32, i32), (usize, usize));

const WINDOWS: [Windows; 5] = [
    ((150, 90), (0, 0), (150, 90)),
    // A layer around the picture, within it, and beside it on either side.
    ((150, 90), (-20, -33), (71, 40)),
    ((75, 90), (31, 17), (150, 120)),
    ((75, 90), (-74, 30), (40, 40)),
    ((75, 90), (50, 50), (40, 40)),
];

fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for stored in Stored::all() {
        for (size, start, shown) in WINDOWS {
            if let Some(file) = stored.file(size, start, shown) {
                files.push((format!("{stored:?} of {size:?} at {start:?} in {shown:?}"), file));
            }
        }
    }
    assert!(files.len() >= 150, "{}", files.len());
    files
}

#[test]
fn every_float_is_that_of_the_crate_image() {
    for (name, file) in files() {
        let decoder = OpenExrDecoder::new(std::io::Cursor::new(&file)).unwrap();
        let (width, height) = decoder.dimensions();
        let mode = if decoder.color_type() == ColorType::Rgba32F { Mode::Rgba32F } else { Mode::Rgb32F };
        let mut bytes = vec![0; decoder.total_bytes() as usize];
        decoder.read_image(&mut bytes).unwrap();
        let expected: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_ne_bytes(*b)).collect();

        let image = decode(&file, &DecodeOptions::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((image.mode(), image.width(), image.height()), (mode, width, height), "{name}");
        let Samples::F32(samples) = image.samples() else { panic!("{name}: no floats") };
        assert!(samples == &expected, "{name}: other pixels");
    }
}

#[test]
fn a_cut_file_says_so_or_is_what_there_is_of_it() {
    for (name, file) in files() {
        let cut = &file[..file.len() * 2 / 3];
        let error = decode(cut, &DecodeOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{name}");
        assert!(error.message().contains("cut off"), "{name}: {error}");

        let lenient = DecodeOptions { allow_truncated: true, ..DecodeOptions::default() };
        let (part, whole) = (decode(cut, &lenient).unwrap(), decode(&file, &lenient).unwrap());
        let (Samples::F32(part), Samples::F32(whole)) = (part.samples(), whole.samples()) else { panic!("{name}") };
        assert!(part.iter().zip(whole).all(|(a, b)| a == b || *a == 0.0), "{name}");
        // Something of the picture is there where most blocks are.
        if name.contains("Uncompressed") && name.ends_with("at (0, 0) in (150, 90)") {
            assert!(part.iter().filter(|sample| **sample > 0.0).count() > part.len() / 3, "{name}");
        }
    }
}
