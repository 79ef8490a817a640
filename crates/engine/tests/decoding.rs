//! `decode = fast`: files much larger than the model reads are decoded smaller, and all else is as it was.

mod support;

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray};
use imbed_core::{
    Error, ErrorKind, InputSpec, Result,
    arrow::kernels::CropBox,
    image::{DecodeOptions, EncodeFormat, Filter, Image, Limits, Mode, SampleType, Samples, encode},
    options::{Alpha, OnError},
    preprocess::Size,
};
use imbed_engine::{Engine, Images, Step, Steps};
use support::{FakeModel, vectors};

const FAST: &[(&str, &str)] = &[("decode", "fast")];

/// A JPEG of waves and noise.
fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut state = 1_u32;
    let mut sample = |at: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (128.0 + 80.0 * (f64::from(at) / 5000.0).sin()) as u8 ^ (state >> 27) as u8
    };
    let samples = (0..width * height * 3).map(&mut sample).collect();
    let image = Image::new(Mode::Rgb, width, height, Samples::U8(samples)).unwrap();
    encode(&image, EncodeFormat::Jpeg { quality: 90 }).unwrap()
}

/// The same file as a camera writes it that was held on its side.
fn turned(file: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    [&file[..2], &exif, &file[2..]].concat()
}

fn engine(options: &[(&'static str, &'static str)], limits: Limits) -> Engine {
    FakeModel::new(options).builder().decode(DecodeOptions { limits, ..DecodeOptions::default() }).build().unwrap()
}

fn column(file: &[u8]) -> Images {
    let column: ArrayRef = Arc::new(BinaryArray::from_iter_values([file]));
    Images::Encoded(column)
}

fn changed(file: &[u8], then: Vec<Step>) -> Images {
    let steps = Steps { decode: DecodeOptions::default(), then, on_error: OnError::Raise };
    Images::Changed { images: Box::new(column(file)), steps: Arc::new(steps) }
}

fn embedded(options: &[(&'static str, &'static str)], images: Images) -> Vec<f32> {
    let embedded = engine(options, Limits::default()).embed_array(images).unwrap();
    vectors(&embedded.embeddings)[0].clone().unwrap()
}

/// What the made-up model gives for the first pixel that its recipe makes of `file`, decoded as small as it allows.
fn reduced(file: &[u8]) -> Vec<f32> {
    let model = FakeModel::new(&[]);
    let InputSpec::Pixels(recipe) = &model.input else { panic!("it reads pixels") };
    let reduced = recipe.decode_reduced(file, &DecodeOptions::default()).unwrap();
    let mut pixels = vec![0; recipe.output_size_for(reduced.full).bytes() as usize];
    recipe.run_reduced(&reduced, Alpha::Drop, &mut pixels).unwrap();
    pixels[..3].iter().copied().chain([1]).map(f32::from).collect()
}

#[test]
fn a_large_jpeg_is_decoded_smaller_where_that_is_asked_for() {
    for file in [jpeg(163, 121), turned(&jpeg(168, 128), 6), turned(&jpeg(168, 128), 3)] {
        let (exact, fast) = (embedded(&[], column(&file)), embedded(FAST, column(&file)));
        assert_eq!(fast, reduced(&file));
        assert_ne!(fast, exact, "the test is worth nothing where both are the same");
        let far = fast.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(far <= 3.0, "{fast:?} {exact:?}");
        assert_eq!(embedded(&[("decode", "exact")], column(&file)), exact);
    }
}

#[test]
fn what_cannot_be_smaller_is_the_same_to_the_bit() {
    let photo = Image::new(Mode::Rgb, 99, 77, Samples::U8((0..99 * 77 * 3).map(|i| (i * i / 7) as u8).collect()));
    let png = encode(&photo.unwrap(), EncodeFormat::Png).unwrap();
    // Turned, the last row and column of a smaller picture would come first, and stand for less than the others.
    for file in [jpeg(14, 13), jpeg(300, 7), turned(&jpeg(163, 121), 6), png] {
        assert_eq!(embedded(FAST, column(&file)), embedded(&[], column(&file)));
    }
}

#[test]
fn steps_that_take_pixels_one_by_one_leave_files_small_and_places_and_sizes_do_not() {
    let file = jpeg(163, 121);
    let convert = |mode| Step::Convert { mode, alpha: Alpha::Drop };
    let fine = changed(&file, vec![Step::Samples(SampleType::U8), convert(Mode::Rgba), convert(Mode::Rgb)]);
    assert_eq!(embedded(FAST, fine), reduced(&file));
    for step in [
        Step::Crop(CropBox { x: 100, y: 90, width: 40, height: 30 }),
        Step::Resize { size: Size { height: 60, width: 50 }, filter: Filter::Bicubic },
    ] {
        let steps = || vec![Step::Samples(SampleType::U8), step];
        assert_eq!(embedded(FAST, changed(&file, steps())), embedded(&[], changed(&file, steps())), "{step}");
    }
}

#[test]
fn limits_and_damage_are_those_of_the_whole_file() {
    let file = jpeg(163, 121);
    let fails = |options: &[(&'static str, &'static str)], file: &[u8], limits: Limits| -> Error {
        let embedded: Result<_> = engine(options, limits).embed_array(column(file));
        embedded.map(|_| ()).unwrap_err()
    };
    for limits in [
        Limits { max_pixels: 163 * 121 - 1, ..Limits::default() },
        Limits { max_side: 162, ..Limits::default() },
        Limits { max_alloc: 163 * 121 * 3 - 1, ..Limits::default() },
        Limits { max_bytes: file.len() as u64 - 1, ..Limits::default() },
    ] {
        let (exact, fast) = (fails(&[], &file, limits), fails(FAST, &file, limits));
        assert_eq!((fast.kind(), fast.to_string()), (ErrorKind::Limit, exact.to_string()), "{limits:?}");
    }
    for damaged in [&file[..file.len() / 2], &file[..100], b"no picture", b""] {
        let (exact, fast) = (fails(&[], damaged, Limits::default()), fails(FAST, damaged, Limits::default()));
        assert_eq!((fast.kind(), fast.to_string()), (ErrorKind::Decode, exact.to_string()));
    }
}

#[test]
fn a_file_that_is_sent_as_it_is_is_held_against_its_whole_size_and_looked_at_to_its_end() {
    let file = jpeg(163, 121);
    let media_types = vec!["image/jpeg".to_owned()];
    let run = |file: &[u8], limits: Limits| {
        let mut model = FakeModel::new(FAST).asynchronous();
        model.input = InputSpec::Encoded { media_types: media_types.clone() };
        let engine = model.builder().decode(DecodeOptions { limits, ..DecodeOptions::default() }).build().unwrap();
        engine.embed_array(column(file)).map(|embedded| vectors(&embedded.embeddings)[0].clone())
    };
    let first = imbed_core::image::decode(&file, &DecodeOptions::default()).unwrap().as_u8().unwrap()[0];
    assert_eq!(run(&file, Limits::default()).unwrap().unwrap()[0], f32::from(first));
    assert_eq!(run(&file[..file.len() / 2], Limits::default()).unwrap_err().kind(), ErrorKind::Decode);
    let small = Limits { max_pixels: 163 * 121 - 1, ..Limits::default() };
    assert_eq!(run(&file, small).unwrap_err().kind(), ErrorKind::Limit);
}
