//! Decoding as a user meets it: real encodings, damaged files, and files that lie.

use imbed_core::{
    ErrorKind,
    image::{DecodeOptions, EncodeFormat, Format, Image, Limits, Mode, Samples, decode, encode, sniff},
    options::Alpha,
};

fn picture(mode: Mode, width: u32, height: u32) -> Image {
    let n = width * height * 3;
    let samples = Samples::U8((0..n).map(|i| (i.wrapping_mul(i) / 7 + i * 5) as u8).collect());
    Image::new(Mode::Rgb, width, height, samples).unwrap().convert(mode, Alpha::Drop)
}

fn jpeg() -> Vec<u8> {
    encode(&picture(Mode::Rgb, 64, 48), EncodeFormat::Jpeg { quality: 90 }).unwrap()
}

fn options() -> DecodeOptions {
    DecodeOptions::default()
}

/// A TIFF directory whose only entry is the orientation: what an EXIF block holds.
fn exif(orientation: u8) -> Vec<u8> {
    let entry = [0x01, 0x12, 0x00, 0x03, 0, 0, 0, 1, 0, orientation, 0, 0];
    [&b"MM\0*\0\0\0\x08\0\x01"[..], &entry, &[0, 0, 0, 0]].concat()
}

/// `jpeg` with an APP1 segment after its start marker.
fn jpeg_with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let payload = [b"Exif\0\0", &exif(orientation)[..]].concat();
    let length = (payload.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &payload, &jpeg[2..]].concat()
}

/// `png` with a chunk after its header chunk.
fn png_with_chunk(png: &[u8], kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let header_end = 8 + 25;
    let crc = crc32(&[&kind, data].concat()).to_be_bytes();
    let length = (data.len() as u32).to_be_bytes();
    [&png[..header_end], &length, &kind, data, &crc, &png[header_end..]].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

/// What EXIF defines: where each pixel of the upright picture lies in the stored one.
fn upright(stored: &Image, orientation: u8) -> Image {
    let (w, h) = (stored.width() as usize, stored.height() as usize);
    let (out_w, out_h) = if orientation >= 5 { (h, w) } else { (w, h) };
    let pixels = stored.as_u8().unwrap();
    let mut samples = Vec::new();
    for y in 0..out_h {
        for x in 0..out_w {
            let (sx, sy) = match orientation {
                1 => (x, y),
                2 => (w - 1 - x, y),
                3 => (w - 1 - x, h - 1 - y),
                4 => (x, h - 1 - y),
                5 => (y, x),
                6 => (y, h - 1 - x),
                7 => (w - 1 - y, h - 1 - x),
                _ => (w - 1 - y, x),
            };
            samples.extend_from_slice(&pixels[(sy * w + sx) * 3..][..3]);
        }
    }
    Image::new(Mode::Rgb, out_w as u32, out_h as u32, Samples::U8(samples)).unwrap()
}

#[test]
fn exif_orientations_turn_jpeg_and_png_upright() {
    let png = encode(&picture(Mode::Rgb, 5, 3), EncodeFormat::Png).unwrap();
    let stored_jpeg = decode(&jpeg(), &options()).unwrap();
    for orientation in 1..=8 {
        let turned = decode(&jpeg_with_exif(&jpeg(), orientation), &options()).unwrap();
        assert_eq!(turned, upright(&stored_jpeg, orientation), "JPEG {orientation}");
        let turned = decode(&png_with_chunk(&png, *b"eXIf", &exif(orientation)), &options()).unwrap();
        assert_eq!(turned, upright(&picture(Mode::Rgb, 5, 3), orientation), "PNG {orientation}");
    }
}

#[test]
fn the_stored_pixels_are_given_where_orientation_is_switched_off() {
    let as_stored = DecodeOptions { exif_orientation: false, ..options() };
    let image = decode(&jpeg_with_exif(&jpeg(), 6), &as_stored).unwrap();
    assert_eq!((image.width(), image.height()), (64, 48));
}

#[test]
fn an_orientation_that_exif_does_not_define_is_ignored() {
    for orientation in [0, 9, 255] {
        assert_eq!(decode(&jpeg_with_exif(&jpeg(), orientation), &options()).unwrap().width(), 64);
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_in_every_format() {
    let image = picture(Mode::Rgb, 64, 48);
    for format in [
        EncodeFormat::Jpeg { quality: 90 },
        EncodeFormat::Png,
        EncodeFormat::WebP,
        EncodeFormat::Bmp,
        EncodeFormat::Tiff,
        EncodeFormat::Gif,
    ] {
        let whole = encode(&image, format).unwrap();
        for percent in [1, 5, 25, 50, 75, 90] {
            let cut = &whole[..whole.len() * percent / 100];
            let error = decode(cut, &options()).expect_err(&format!("{format} cut to {percent} %"));
            assert_eq!(error.kind(), ErrorKind::Decode, "{format} cut to {percent} %: {error}");
        }
    }
}

#[test]
fn a_cut_jpeg_says_so_and_is_taken_where_that_is_allowed() {
    let whole = jpeg();
    let cut = &whole[..whole.len() / 2];
    let error = decode(cut, &options()).unwrap_err();
    assert!(error.message().contains("cut off"), "{error}");
    let lenient = DecodeOptions { allow_truncated: true, ..options() };
    let (part, image) = (decode(cut, &lenient).unwrap(), decode(&whole, &options()).unwrap());
    assert_eq!((part.width(), part.height()), (64, 48));
    // The first rows of blocks came through whole.
    assert_eq!(part.as_u8().unwrap()[..64 * 3 * 8], image.as_u8().unwrap()[..64 * 3 * 8]);
}

#[test]
fn a_cut_png_keeps_its_first_rows_where_that_is_allowed() {
    let image = picture(Mode::Rgb, 64, 48);
    let whole = encode(&image, EncodeFormat::Png).unwrap();
    let lenient = DecodeOptions { allow_truncated: true, ..options() };
    let part = decode(&whole[..whole.len() * 3 / 4], &lenient).unwrap();
    assert_eq!(part.as_u8().unwrap()[..64 * 3], image.as_u8().unwrap()[..64 * 3]);
}

#[test]
fn bytes_after_the_end_of_a_jpeg_are_ignored() {
    let whole = jpeg();
    let image = decode(&whole, &options()).unwrap();
    assert_eq!(decode(&[&whole[..], b"trailing"].concat(), &options()).unwrap(), image);
    assert_eq!(decode(&[&whole[..], &whole[..whole.len() / 2]].concat(), &options()).unwrap(), image);
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let mut png = encode(&picture(Mode::Rgb, 4, 4), EncodeFormat::Png).unwrap();
    png[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
    png[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
    let crc = crc32(&png[12..29]).to_be_bytes();
    png[29..33].copy_from_slice(&crc);
    let error = decode(&png, &options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
    assert!(error.message().contains("60000 x 60000"), "{error}");
    assert!(error.hint_text().unwrap().contains("--max-pixels"), "{error}");
}

#[test]
fn each_limit_is_held() {
    let png = encode(&picture(Mode::Rgb, 20, 10), EncodeFormat::Png).unwrap();
    for (limits, option) in [
        (Limits { max_pixels: 199, ..Limits::default() }, "--max-pixels"),
        (Limits { max_side: 19, ..Limits::default() }, "--max-side"),
        (Limits { max_bytes: 50, ..Limits::default() }, "--max-bytes"),
        (Limits { max_alloc: 599, ..Limits::default() }, "--max-alloc"),
    ] {
        for file in [png.clone(), jpeg()] {
            let error = decode(&file, &DecodeOptions { limits, ..options() }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit, "{option}");
            assert!(error.hint_text().unwrap().contains(option), "{error}");
        }
    }
}

#[test]
fn what_is_not_an_image_is_named() {
    for (bytes, kind, words) in [
        (&b""[..], ErrorKind::Decode, "the file is empty"),
        (b"this is a text called cat.jpg", ErrorKind::Decode, "this is text, not an image"),
        (b"<!doctype html><title>404</title>", ErrorKind::Decode, "an HTML page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", ErrorKind::Decode, "an SVG drawing"),
        (b"%PDF-1.7\n%\xe2\xe3", ErrorKind::Decode, "a PDF document"),
        (
            b"\0\0\0\x1cftypavif\0\0\0\0",
            ErrorKind::Unsupported,
            "this is an AVIF image, which this build does not decode",
        ),
        (b"\0\0\0\x18ftypheic\0\0\0\0", ErrorKind::Unsupported, "a HEIC image"),
        (b"\xff\x0a\x01\x02", ErrorKind::Unsupported, "a JPEG XL image"),
        (b"\x00\x01\x02\x03\x04", ErrorKind::Decode, "not an image of a known format"),
    ] {
        let error = decode(bytes, &options()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{error}");
    }
}

#[test]
fn grey_jpegs_stay_grey() {
    let file = encode(&picture(Mode::L, 16, 16), EncodeFormat::Jpeg { quality: 90 }).unwrap();
    assert_eq!(decode(&file, &options()).unwrap().mode(), Mode::L);
}

#[test]
fn a_picture_of_nothing_is_an_error() {
    let gif = b"GIF89a\0\0\0\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\0\0\0\0\0\x02\x02\x4c\x01\0;";
    let qoi = b"qoif\0\0\0\0\0\0\0\x01\x03\0\0\0\0\0\0\0\0\x01";
    let farbfeld = b"farbfeld\0\0\0\0\0\0\0\x01";
    for file in [&gif[..], qoi, farbfeld, b"P6 0 1 255\n"] {
        for allow_truncated in [false, true] {
            let error = decode(file, &DecodeOptions { allow_truncated, ..options() }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        }
    }
}

#[test]
fn hand_written_files_of_the_small_formats_are_read() {
    let qoi = [&b"qoif\0\0\0\x01\0\0\0\x01\x03\0"[..], &[0xfe, 1, 2, 3], &[0, 0, 0, 0, 0, 0, 0, 1]].concat();
    let farbfeld = [&b"farbfeld\0\0\0\x01\0\0\0\x01"[..], &[0, 1, 0, 2, 0, 3, 255, 255]].concat();
    let tga = [&[0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 24, 0x20][..], &[3, 2, 1]].concat();
    for (file, format, mode) in [
        (qoi, Format::Qoi, Mode::Rgb),
        (farbfeld, Format::Farbfeld, Mode::Rgba16),
        (tga, Format::Tga, Mode::Rgb),
        (b"P6 1 1 255\n\x01\x02\x03".to_vec(), Format::Pnm, Mode::Rgb),
        (b"P5 1 1 65535\n\x01\x02".to_vec(), Format::Pnm, Mode::L16),
    ] {
        assert_eq!(sniff(&file), Some(format));
        let image = decode(&file, &options()).unwrap();
        assert_eq!((image.mode(), image.width(), image.height()), (mode, 1, 1), "{format}");
        if mode == Mode::Rgb {
            assert_eq!(image.as_u8().unwrap(), [1, 2, 3], "{format}");
        }
    }
}
