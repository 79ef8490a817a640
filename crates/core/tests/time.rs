//! Small files that take long: given up in time, in every format that repeats itself.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use imbed_core::{
    ErrorKind,
    image::{DecodeOptions, Limits, decode, jpeg_size},
};

/// A grey progressive JPEG of a few kilobytes, each coefficient of which is sent a bit at a time, in 882 scans, for all blocks.
fn scans(side: u16) -> Vec<u8> {
    let [high, low] = side.to_be_bytes();
    let mut file = b"\xff\xd8\xff\xdb\0\x43\0".to_vec();
    file.extend([1; 64]);
    file.extend([0xff, 0xc2, 0, 11, 8, high, low, high, low, 1, 1, 0x11, 0]);
    // One code each: a DC difference of 0, and a run of 2^14 blocks or more that hold nothing new.
    file.extend(b"\xff\xc4\0\x14\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    file.extend(b"\xff\xc4\0\x14\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xe0");
    let blocks = usize::from(side).div_ceil(8).pow(2);
    // 15 bits a run: a zero and fourteen ones, 32767 blocks. A byte of ones is followed by a zero.
    let bits = (0..blocks.div_ceil(32_767) * 15).map(|bit| u8::from(bit % 15 != 0)).collect::<Vec<_>>();
    let bytes = bits.chunks(8).map(|bits| bits.iter().fold(0_u8, |byte, bit| byte << 1 | bit) << (8 - bits.len()));
    let run: Vec<u8> = bytes.flat_map(|byte| if byte == 0xff { vec![0xff, 0] } else { vec![byte] }).collect();
    for number in 1..=63 {
        for low in (0..=13).rev() {
            let high = if low == 13 { 0 } else { low + 1 };
            file.extend([0xff, 0xda, 0, 8, 1, 1, 0, number, number, high << 4 | low]);
            file.extend(&run);
        }
    }
    file.extend(b"\xff\xd9");
    file
}

/// A GIF each frame of which makes the picture a row higher, so that it is copied as often as it has frames.
fn growing_gif(frames: u16) -> Vec<u8> {
    let mut file = b"GIF89a\0\x20\x01\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    for top in 0..frames {
        let [low, high] = top.to_le_bytes();
        file.extend([b',', 0, 0, low, high, 1, 0, 1, 0, 0, 2, 2, 0x4c, 0x01, 0]);
    }
    file.push(b';');
    file
}

/// A black PNG.
fn large_png(side: u16) -> Vec<u8> {
    let mut data = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let row = vec![0; usize::from(side) + 1];
    (0..side).for_each(|_| data.write_all(&row).unwrap());
    let [high, low] = side.to_be_bytes();
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [
        (b"IHDR", [0, 0, high, low, 0, 0, high, low, 8, 0, 0, 0, 0].to_vec()),
        (b"IDAT", data.finish().unwrap()),
        (b"IEND", Vec::new()),
    ] {
        let body = [&kind[..], &data].concat();
        let mut sum = flate2::Crc::new();
        sum.update(&body);
        file.extend([&(data.len() as u32).to_be_bytes()[..], &body, &sum.sum().to_be_bytes()].concat());
    }
    file
}

/// A TIFF whose pages overlap, four bytes apart, each of which claims as many entries as it may.
fn overlapping_tiff(pages: usize) -> Vec<u8> {
    let size = 8 + 4 * pages + 2 + 12 * 65_535 + 4;
    // Every two bytes are a count of 65535; the number after its entries leads on.
    let mut file = vec![0xff; size + 4 * pages];
    file[..8].copy_from_slice(b"II*\0\x08\0\0\0");
    for page in 0..pages {
        let at = 8 + 4 * page;
        let next = at + 2 + 12 * 65_535;
        file[next..next + 4].copy_from_slice(&((at + 4) as u32).to_le_bytes());
    }
    file
}

fn given_up(name: &str, file: &[u8], frame: u32, allow_truncated: bool) {
    let limits = Limits { max_time: Duration::from_millis(30), ..Limits::default() };
    let options = DecodeOptions { limits, frame, allow_truncated, ..DecodeOptions::default() };
    let started = Instant::now();
    let error = decode(file, &options).expect_err(name);
    let time = started.elapsed();
    assert_eq!(error.kind(), ErrorKind::Limit, "{name}: {error}");
    assert!(error.message().contains("longer than the limit of 0.03 seconds"), "{name}: {error}");
    assert!(error.hint_text().unwrap().contains("--max-seconds"), "{name}: {error}");
    // Much longer without the limit, on any machine.
    assert!(time < Duration::from_secs(2), "{name} took {time:?}");
}

#[test]
fn what_takes_long_is_given_up_whatever_format_it_is() {
    for allow_truncated in [false, true] {
        given_up("JPEG of many scans", &scans(6000), 0, allow_truncated);
        given_up("GIF that grows", &growing_gif(9000), 8999, allow_truncated);
        given_up("PNG of 81 megapixels", &large_png(9000), 0, allow_truncated);
        given_up("TIFF of overlapping pages", &overlapping_tiff(40_000), 39_999, allow_truncated);
    }
}

#[test]
fn a_file_that_repeats_itself_a_little_is_decoded() {
    let image = decode(&scans(64), &DecodeOptions::default()).unwrap();
    assert_eq!((image.width(), image.height()), (64, 64));
    assert!(jpeg_size(&scans(6000), &DecodeOptions::default()).is_some());
    let options = DecodeOptions { frame: 9, ..DecodeOptions::default() };
    assert_eq!(decode(&growing_gif(10), &options).unwrap().height(), 10);
    assert_eq!(decode(&large_png(1), &DecodeOptions::default()).unwrap().width(), 1);
}

#[test]
fn no_time_is_too_little_for_any_image() {
    let limits = Limits { max_time: Duration::ZERO, ..Limits::default() };
    let error = decode(&large_png(1), &DecodeOptions { limits, ..DecodeOptions::default() }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit);
}
