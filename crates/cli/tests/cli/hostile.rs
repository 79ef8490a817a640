//! Files that mean harm, beside files that do not.

use std::time::{Duration, Instant};

use imbed::core::image::{EncodeFormat, Image, Mode, Samples, encode};

use crate::fixture::{Folder, png};

/// A grey progressive JPEG of a few kilobytes that takes seconds: 882 scans of 562 500 blocks, none of which holds anything.
fn slow_jpeg() -> Vec<u8> {
    let mut file = b"\xff\xd8\xff\xdb\0\x43\0".to_vec();
    file.extend([1; 64]);
    file.extend(b"\xff\xc2\0\x0b\x08\x17\x70\x17\x70\x01\x01\x11\0");
    file.extend(b"\xff\xc4\0\x14\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xe0");
    // Eight runs of 32767 blocks, 15 bits each.
    let runs = b"\x7f\xfe\xff\0\xfd\xff\0\xfb\xff\0\xf7\xff\0\xef\xff\0\xdf\xff\0\xbf\xff\0".repeat(3);
    for number in 1..=63 {
        for low in (0..=13).rev() {
            let high = if low == 13 { 0 } else { low + 1 };
            file.extend([0xff, 0xda, 0, 8, 1, 1, 0, number, number, high << 4 | low]);
            file.extend(&runs);
        }
    }
    file.extend(b"\xff\xd9");
    file
}

#[test]
fn an_image_that_takes_too_long_is_a_row_error_and_its_neighbours_are_unharmed() {
    let folder = Folder::with_shots(5);
    let alone = folder.embed(&["shots"]).vectors();
    folder.write("shots/02a.jpg", &slow_jpeg());
    let start = Instant::now();
    let args = ["shots", "--on-error", "log", "--errors-column", "--max-seconds", "0.4"];
    let embedded = folder.embed_with_code(&args, 1);
    assert!(start.elapsed() < Duration::from_secs(20));
    let errors: Vec<String> = embedded.texts("error").into_iter().flatten().collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("limit: ") && errors[0].contains("0.4 seconds"), "{}", errors[0]);
    let vectors: Vec<_> = embedded.vectors().into_iter().flatten().collect();
    assert_eq!(vectors, alone.into_iter().flatten().collect::<Vec<_>>());
}

/// Xorshift.
fn random(state: &mut u64, below: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 8) as usize % below.max(1)
}

#[test]
fn damaged_images_are_vectors_or_errors_of_their_own() {
    let image = Image::new(Mode::Rgba, 40, 30, Samples::U8((0..4800).map(|i| (i * 7) as u8).collect())).unwrap();
    let rgb = image.convert(Mode::Rgb, imbed::core::options::Alpha::Drop);
    let seeds = [
        encode(&image, EncodeFormat::Png),
        encode(&rgb, EncodeFormat::Jpeg { quality: 85 }),
        encode(&image, EncodeFormat::WebP),
        encode(&rgb, EncodeFormat::Bmp),
        encode(&image, EncodeFormat::Tiff),
        encode(&rgb, EncodeFormat::Gif),
    ]
    .map(Result::unwrap);
    let folder = Folder::new();
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for number in 0..500 {
        let mut file = seeds[number % seeds.len()].clone();
        for _ in 0..=random(&mut state, 4) {
            let near = if random(&mut state, 2) == 0 { file.len().min(64) } else { file.len() };
            let at = random(&mut state, near);
            match random(&mut state, 4) {
                0 => file[at] ^= 1 << random(&mut state, 8),
                1 => file[at] = [0, 1, 0x7f, 0x80, 0xff][random(&mut state, 5)],
                2 => {
                    let part: Vec<u8> = file[at..].iter().copied().take(40).collect();
                    file.splice(at..at, part);
                }
                _ => file.truncate(at + 1),
            }
        }
        folder.write(&format!("shots/{number:03}.png"), &file);
    }
    folder.write("shots/whole.png", &png(1));
    let embedded = folder.embed_with_code(&["shots", "--on-error", "ignore", "--errors-column"], 1);
    let (errors, vectors) = (embedded.texts("error"), embedded.vectors());
    assert_eq!((errors.len(), vectors.len()), (501, 501));
    for (error, vector) in errors.iter().zip(&vectors) {
        assert!(error.is_some() != vector.is_some());
        let Some(error) = error else { continue };
        let kinds = ["decode: ", "unsupported: ", "limit: "];
        assert!(kinds.iter().any(|kind| error.starts_with(kind)) && !error.contains("panicked"), "{error}");
    }
    assert!(vectors[500].is_some() && vectors.iter().flatten().count() > 20);
}
