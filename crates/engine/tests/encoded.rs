//! A model that takes encoded files gets one of its own formats, and a file that is made anew for it shows what the options
//! say: the same picture that a model gets which takes pixels.

mod support;

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray};
use imbed_core::{
    image::{DecodeOptions, EncodeFormat, Image, Mode, Samples, decode, encode},
    options::{Alpha, Icc},
};
use imbed_engine::Images;
use support::{FakeModel, vectors};

/// The first pixel that an asynchronous model sees of `file`, which is no PNG, with these options.
fn seen(file: &[u8], options: &[(&'static str, &'static str)]) -> [u8; 3] {
    let column: ArrayRef = Arc::new(BinaryArray::from_iter_values([file]));
    let embedded = FakeModel::new(options).asynchronous().engine().embed_array(Images::Encoded(column)).unwrap();
    let vector = vectors(&embedded.embeddings)[0].clone().unwrap();
    [0, 1, 2].map(|i| vector[i] as u8)
}

/// The first pixel of `file`, decoded with `options`.
fn decoded(file: &[u8], options: DecodeOptions) -> [u8; 3] {
    let image = decode(file, &options).unwrap().convert(Mode::Rgb, Alpha::Drop);
    image.as_u8().unwrap()[..3].try_into().unwrap()
}

/// A JPEG whose left half is of one colour and whose right half is of another, with `segment` behind its first marker.
fn jpeg(left: [u8; 3], right: [u8; 3], segment: &[u8]) -> Vec<u8> {
    let row = [left.repeat(16), right.repeat(16)].concat();
    let image = Image::new(Mode::Rgb, 32, 16, Samples::U8(row.repeat(16))).unwrap();
    let plain = encode(&image, EncodeFormat::Jpeg { quality: 95 }).unwrap();
    [&plain[..2], segment, &plain[2..]].concat()
}

#[test]
fn transparency_is_laid_on_the_colour_that_is_asked_for() {
    let clear = Image::new(Mode::Rgba, 2, 2, Samples::U8([10, 20, 30, 0].repeat(4))).unwrap();
    let half = Image::new(Mode::Rgba, 2, 2, Samples::U8([10, 20, 30, 128].repeat(4))).unwrap();
    for format in [EncodeFormat::WebP, EncodeFormat::Tiff] {
        let file = encode(&clear, format).unwrap();
        assert_eq!(seen(&file, &[]), [10, 20, 30], "{format}: dropped by default");
        assert_eq!(seen(&file, &[("alpha", "white")]), [255; 3], "{format}");
        assert_eq!(seen(&file, &[("alpha", "#010203")]), [1, 2, 3], "{format}");
        let over = half.convert(Mode::Rgb, Alpha::Over([255; 3]));
        let file = encode(&half, format).unwrap();
        assert_eq!(seen(&file, &[("alpha", "white")]), over.as_u8().unwrap()[..3], "{format}");
    }
}

#[test]
fn an_orientation_is_applied_unless_it_is_not_wanted() {
    // Upside down.
    let exif = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0";
    let file = jpeg([200, 0, 0], [0, 0, 200], exif);
    let as_stored = DecodeOptions { exif_orientation: false, ..DecodeOptions::default() };
    assert_eq!(seen(&file, &[]), decoded(&file, DecodeOptions::default()));
    assert_eq!(seen(&file, &[("exif_orientation", "false")]), decoded(&file, as_stored));
    assert!(seen(&file, &[])[2] > 150, "the right half comes first");
}

#[test]
fn a_profile_is_converted_from_where_that_is_asked_for() {
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let length = (profile.len() as u16 + 16).to_be_bytes();
    let segment = [&b"\xff\xe2"[..], &length, b"ICC_PROFILE\0\x01\x01", &profile].concat();
    let file = jpeg([180, 90, 40], [180, 90, 40], &segment);
    let converted = DecodeOptions { icc: Icc::Srgb, ..DecodeOptions::default() };
    assert_eq!(seen(&file, &[]), decoded(&file, DecodeOptions::default()));
    assert_eq!(seen(&file, &[("icc", "srgb")]), decoded(&file, converted));
    assert_ne!(seen(&file, &[("icc", "srgb")]), seen(&file, &[]));
}

#[test]
fn the_frame_that_is_asked_for_is_the_one_that_is_sent() {
    // A GIF of one red pixel and then a green one.
    let frame = |index: u8| [&b"\x21\xf9\x04\0\0\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02"[..], &[index, 1, 0]].concat();
    let head = b"GIF89a\x01\0\x01\0\x80\0\0\xff\0\0\0\xff\0";
    let file = [&head[..], &frame(0x44), &frame(0x4c), b"\x3b"].concat();
    assert_eq!(seen(&file, &[]), [255, 0, 0]);
    assert_eq!(seen(&file, &[("frame", "1")]), [0, 255, 0]);
}
