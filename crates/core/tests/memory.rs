//! What an image takes is within `max_alloc`, for every format and mode: decoding it, turning it, and making RGB of it.

#[path = "support/exr.rs"]
mod exr;
mod support;

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, Rgb32FImage};
use imbed_core::{
    ErrorKind,
    image::{DecodeOptions, EncodeFormat, Image, Limits, Mode, Samples, decode, encode},
    options::{Alpha, Icc},
};
use serde::Deserialize;

/// Large enough for pixels to outweigh tables of codes and buffers of rows, which nobody counts.
const WIDTH: u32 = 1100;
const HEIGHT: u32 = 900;
const UNCOUNTED: usize = 1 << 19;

fn image(mode: Mode) -> Image {
    let length = WIDTH as usize * HEIGHT as usize * 4;
    let bytes: Vec<u8> = (0..length).map(|i| (i / 7 * 13 % 251) as u8).collect();
    Image::new(Mode::Rgba, WIDTH, HEIGHT, Samples::U8(bytes)).unwrap().convert(mode, Alpha::Drop)
}

/// What our own encoders write.
fn ours() -> Vec<(String, Vec<u8>)> {
    use EncodeFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    let mut files = Vec::new();
    for mode in Mode::ALL {
        for format in [Bmp, Gif, Jpeg { quality: 80 }, Png, Tiff, WebP] {
            if let Ok(file) = encode(&image(mode), format) {
                files.push((format!("{mode} in {format:?}"), file));
            }
        }
    }
    assert!(files.len() > 20);
    files
}

/// Of formats that we do not write.
fn others() -> Vec<(String, Vec<u8>)> {
    let floats = DynamicImage::from(Rgb32FImage::from_fn(WIDTH, HEIGHT, |x, y| Rgb([x as f32, y as f32, 0.5])));
    let (bytes, words) = (DynamicImage::from(floats.to_rgba8()), DynamicImage::from(floats.to_rgba16()));
    let small = DynamicImage::from(floats.crop_imm(0, 0, 256, 256).to_rgba8());
    let (rgb, rgb16) = (DynamicImage::from(floats.to_rgb8()), DynamicImage::from(floats.to_rgb16()));
    let write = |name: &str, image: &DynamicImage, format| {
        let mut file = Cursor::new(Vec::new());
        image.write_to(&mut file, format).unwrap();
        (name.to_owned(), file.into_inner())
    };
    vec![
        write("OpenEXR", &floats, ImageFormat::OpenExr),
        write("HDR", &floats, ImageFormat::Hdr),
        write("Farbfeld", &words, ImageFormat::Farbfeld),
        write("QOI", &bytes, ImageFormat::Qoi),
        write("TGA", &bytes, ImageFormat::Tga),
        write("ICO", &small, ImageFormat::Ico),
        write("PPM", &rgb, ImageFormat::Pnm),
        write("PPM of 16 bits", &rgb16, ImageFormat::Pnm),
    ]
}

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    file: String,
}

/// JPEGs of Pillow's with another size, whose data end early. Damage within a scan is passed over.
fn jpegs() -> Vec<(String, Vec<u8>)> {
    let golden: Golden = serde_json::from_str(include_str!("fixtures/jpeg.json")).unwrap();
    let enlarged = |case: Case| {
        let digits = case.file.as_bytes().as_chunks::<2>().0;
        let mut file: Vec<u8> =
            digits.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect();
        let at = file.windows(2).position(|w| matches!(w, [0xff, 0xc0..=0xc2])).unwrap();
        file[at + 5..at + 7].copy_from_slice(&(HEIGHT as u16).to_be_bytes());
        file[at + 7..at + 9].copy_from_slice(&(WIDTH as u16).to_be_bytes());
        (case.name, file)
    };
    golden.cases.into_iter().map(enlarged).collect()
}

/// A JPEG that EXIF turns.
fn turned() -> Vec<(String, Vec<u8>)> {
    let jpeg = encode(&image(Mode::Rgb), EncodeFormat::Jpeg { quality: 80 }).unwrap();
    let with = |orientation: u8| {
        let exif =
            [b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[orientation][..], &[0; 6]];
        let file = [&jpeg[..2], &exif.concat(), &jpeg[2..]].concat();
        (format!("JPEG of orientation {orientation}"), file)
    };
    (2..=8).map(with).collect()
}

/// TIFFs whose samples are zeros as they are.
fn tiffs() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (photometric, samples, bits, format) in [
        (0, 1, 1, 1),
        (1, 1, 4, 1),
        (1, 1, 8, 1),
        (1, 2, 8, 1),
        (1, 1, 16, 1),
        (1, 1, 32, 1),
        (1, 1, 64, 1),
        (1, 1, 16, 3),
        (1, 1, 32, 3),
        (1, 1, 64, 3),
        (2, 3, 8, 1),
        (2, 4, 8, 1),
        (2, 7, 8, 1),
        (2, 3, 16, 1),
        (2, 4, 16, 1),
        (2, 3, 32, 3),
        (2, 3, 64, 3),
        (3, 1, 4, 1),
        (3, 1, 8, 1),
        (5, 4, 8, 1),
        (5, 4, 16, 1),
        (6, 3, 8, 1),
        (8, 3, 8, 1),
    ] {
        for planar in [1, 2] {
            let name = format!("TIFF of {samples} x {bits} bits, photometric {photometric}, planar {planar}");
            files.push((name, tiff(photometric, samples, bits, format, planar)));
        }
    }
    files
}

fn tiff(photometric: u32, samples: u32, bits: u32, format: u32, planar: u32) -> Vec<u8> {
    let plane = HEIGHT * (WIDTH * bits * if planar == 1 { samples } else { 1 }).div_ceil(8);
    let planes = if planar == 1 { 1 } else { samples };
    // The lists come after the directory.
    let (mut lists, at) = (Vec::<u8>::new(), 8 + 2 + 12 * 12 + 4);
    let mut list = |values: &[u32], bytes: usize| {
        let place = at + lists.len() as u32;
        lists.extend(values.iter().flat_map(|value| value.to_le_bytes()[..bytes].to_vec()));
        if values.len() * bytes > 4 {
            place
        } else {
            values.iter().rev().fold(0_u64, |all, v| all << (8 * bytes) | u64::from(*v)) as u32
        }
    };
    let bits_at = list(&vec![bits; samples as usize], 2);
    let format_at = list(&vec![format; samples as usize], 2);
    let palette_at = list(&vec![0; 3 << bits.min(8)], 2);
    let lengths_at = list(&vec![plane; planes as usize], 4);
    let data = at + lists.len() as u32 + 4 * planes;
    let mut list = |values: &[u32]| {
        let place = at + lists.len() as u32;
        lists.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        if values.len() > 1 { place } else { values[0] }
    };
    let offsets_at = list(&(0..planes).map(|i| data + i * plane).collect::<Vec<_>>());
    let entries = [
        (256, 4, 1, WIDTH),
        (257, 4, 1, HEIGHT),
        (258, 3, samples, bits_at),
        (259, 3, 1, 1),
        (262, 3, 1, photometric),
        (273, 4, planes, offsets_at),
        (277, 3, 1, samples),
        (279, 4, planes, lengths_at),
        (284, 3, 1, planar),
        (320, 3, 3 << bits.min(8), palette_at),
        (339, 3, samples, format_at),
        (530, 3, 2, 2 | 2 << 16),
    ];
    let mut file = b"II*\0\x08\0\0\0\x0c\0".to_vec();
    for (tag, kind, count, value) in entries {
        file.extend([&(tag as u16).to_le_bytes()[..], &(kind as u16).to_le_bytes()].concat());
        file.extend([count, value].iter().flat_map(|number: &u32| number.to_le_bytes()));
    }
    file.extend([0; 4]);
    file.extend(lists);
    file.resize((data + plane * planes) as usize, 0);
    file
}

/// Animations whose frames fill the picture, and one that grows.
fn animations() -> Vec<(String, Vec<u8>)> {
    let still = encode(&image(Mode::Rgba), EncodeFormat::WebP).unwrap();
    let picture = &still[still.windows(4).position(|w| w == b"VP8L").unwrap()..];
    let side = |side: u32| (side - 1).to_le_bytes()[..3].to_vec();
    let frame = [&[0; 6][..], &side(WIDTH), &side(HEIGHT), &[0, 0, 0, 0], picture].concat();
    let frame = [b"ANMF", &(frame.len() as u32).to_le_bytes()[..], &frame].concat();
    let header = [b"VP8X\x0a\0\0\0\x12\0\0\0".to_vec(), side(WIDTH), side(HEIGHT)].concat();
    let body = [b"WEBP".to_vec(), header, b"ANIM\x06\0\0\0\0\0\0\0\0\0".to_vec(), frame.repeat(3)].concat();
    let webp = [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat();

    let indices = vec![1; WIDTH as usize * HEIGHT as usize];
    let gif = |grows: bool, dispose: gif::DisposalMethod| {
        let (width, height) = (WIDTH as u16, HEIGHT as u16);
        let screen = if grows { (9, 9) } else { (width, height) };
        let mut file = Vec::new();
        let mut encoder = gif::Encoder::new(&mut file, screen.0, screen.1, &[1, 2, 3, 4, 5, 6]).unwrap();
        for number in 0..3 {
            let (width, height) = if grows { (width - 20 + 10 * number, height) } else { (width, height) };
            let buffer = indices[..usize::from(width) * usize::from(height)].into();
            let transparent = (number == 0).then_some(0);
            encoder
                .write_frame(&gif::Frame { width, height, buffer, dispose, transparent, ..gif::Frame::default() })
                .unwrap();
        }
        drop(encoder);
        file
    };

    let apng = |colour: png::ColorType, depth: png::BitDepth, dispose: png::DisposeOp| {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, WIDTH, HEIGHT);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        encoder.set_animated(3, 0).unwrap();
        encoder.set_dispose_op(dispose).unwrap();
        let mut writer = encoder.write_header().unwrap();
        let bytes = vec![
            9;
            WIDTH as usize
                * HEIGHT as usize
                * colour.samples()
                * if depth == png::BitDepth::Sixteen { 2 } else { 1 }
        ];
        (0..3).for_each(|_| writer.write_image_data(&bytes).unwrap());
        writer.finish().unwrap();
        file
    };
    vec![
        ("animated WebP".into(), webp),
        ("animated GIF".into(), gif(false, gif::DisposalMethod::Previous)),
        ("animated GIF that is cleared".into(), gif(false, gif::DisposalMethod::Background)),
        ("animated GIF that grows".into(), gif(true, gif::DisposalMethod::Keep)),
        ("APNG".into(), apng(png::ColorType::Rgba, png::BitDepth::Eight, png::DisposeOp::Previous)),
        ("APNG of 16 bits".into(), apng(png::ColorType::Rgba, png::BitDepth::Sixteen, png::DisposeOp::Previous)),
        ("grey APNG".into(), apng(png::ColorType::Grayscale, png::BitDepth::Eight, png::DisposeOp::Background)),
    ]
}

/// `OpenEXR` of every compression, in lines and in tiles, of layers that are larger than the picture as well.
fn layers() -> Vec<(String, Vec<u8>)> {
    let size = (WIDTH as usize, HEIGHT as usize);
    let mut files = Vec::new();
    for stored in exr::Stored::all().filter(|stored| stored.alpha) {
        let wide = exr::Stored { tile: stored.tile.map(|_| 512), ..stored };
        for (stored, shown) in [(stored, size), (wide, (90, 40))] {
            files.extend(stored.file(size, (0, 0), shown).map(|file| (format!("{stored:?} shown {shown:?}"), file)));
        }
    }
    files
}

/// The least `max_alloc` with which a file is decoded, and what it takes then.
fn least(file: &[u8], frame: u32) -> Result<(u64, usize), imbed_core::Error> {
    let decoded = |max_alloc: u64| {
        let limits = Limits { max_alloc, ..Limits::default() };
        let options = DecodeOptions { limits, frame, icc: Icc::Srgb, ..DecodeOptions::default() };
        support::counted(|| decode(file, &options).map(|image| image.to_rgb8(Alpha::Drop).len()))
    };
    decoded(u64::MAX).0?;
    let (mut refused, mut accepted) = (0_u64, 1_u64 << 26);
    while accepted - refused > 1 << 17 {
        let middle = refused.midpoint(accepted);
        match decoded(middle).0 {
            Ok(_) => accepted = middle,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
                assert!(error.hint_text().unwrap().contains("--max-alloc"), "{error}");
                refused = middle;
            }
        }
    }
    Ok((accepted, decoded(accepted).1))
}

#[test]
fn an_image_takes_no_more_than_the_limit_that_lets_it_through() {
    let stills = [ours(), others(), jpegs(), turned(), tiffs(), layers()].concat();
    let stills = stills.into_iter().map(|(name, file)| (name, file, 0));
    let frames = animations().into_iter().map(|(name, file)| (name, file, 2));
    let (mut wrong, mut decoded) = (Vec::new(), 0);
    for (name, file, frame) in stills.chain(frames) {
        let Ok((limit, taken)) = least(&file, frame) else {
            assert!(name.starts_with("TIFF"), "{name} is decoded");
            continue;
        };
        decoded += 1;
        let pixels = f64::from(WIDTH * HEIGHT);
        if taken > limit as usize + UNCOUNTED {
            wrong.push(format!(
                "{name}: {:.2} bytes a pixel, allowed {:.2}",
                taken as f64 / pixels,
                limit as f64 / pixels
            ));
        }
    }
    assert!(wrong.is_empty(), "of {decoded} files:\n{}", wrong.join("\n"));
    assert!(decoded > 100, "{decoded}");

    // Nor does a thread keep anything of large blocks.
    for (name, file) in layers() {
        let left = std::thread::spawn(move || {
            let before = support::held();
            drop(decode(&file, &DecodeOptions::default()).unwrap());
            support::held().saturating_sub(before)
        });
        let left = left.join().unwrap();
        assert!(left < 2 << 20, "{name} leaves {left} bytes");
    }
}
