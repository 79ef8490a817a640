//! Small files that ask for much: refused in time, and before the memory is taken.

mod support;

use std::{
    io::Write,
    time::{Duration, Instant},
};

use imbed_core::{
    ErrorKind,
    image::{DecodeOptions, Limits, decode},
    options::Icc,
};

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    [&(data.len() as u32).to_be_bytes(), &body[..], &crc32(&body).to_be_bytes()].concat()
}

/// A PNG of one channel with chunks before its picture, of which there is nothing.
fn png(width: u32, height: u32, before: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let start = [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), before].concat();
    [&start[..], &chunk(b"IDAT", &zeros(height as usize % 100 * (width as usize % 100 + 1))), &chunk(b"IEND", b"")]
        .concat()
}

/// So many zeros, compressed.
fn zeros(count: usize) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let piece = vec![0; 1 << 16];
    for start in (0..count).step_by(piece.len()) {
        encoder.write_all(&piece[..piece.len().min(count - start)]).unwrap();
    }
    encoder.finish().unwrap()
}

/// A TIFF of one page, from its tags, types, counts and values.
fn tiff(entries: &[(u16, u16, u32, u32)]) -> Vec<u8> {
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        file.extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat());
    }
    // The next page is this one again.
    file.extend(8_u32.to_le_bytes());
    file.extend([0; 64]);
    file
}

fn bitmap_header(width: u32, height: u32, bits: u32, compression: u32) -> Vec<u8> {
    [40, width, height, 1 | bits << 16, compression, 0, 0, 0, 0, 0].iter().flat_map(|n: &u32| n.to_le_bytes()).collect()
}

fn bmp(width: u32, height: u32, bits: u32, compression: u32) -> Vec<u8> {
    [&b"BM\0\0\0\0\0\0\0\0\x36\x04\0\0"[..], &bitmap_header(width, height, bits, compression), &[0; 1100]].concat()
}

fn ico(picture: &[u8]) -> Vec<u8> {
    let size = (picture.len() as u32).to_le_bytes();
    [&[0, 0, 1, 0, 1, 0, 16, 16, 0, 0, 1, 0, 32, 0][..], &size, &22_u32.to_le_bytes(), picture].concat()
}

/// A GIF of 1 x 1 with so many frames of `side` x `side`, without their pixels' data.
fn gif(screen: u16, side: u16, frames: usize) -> Vec<u8> {
    let [low, high] = screen.to_le_bytes();
    let mut file = [&b"GIF89a"[..], &[low, high, low, high, 0x80, 0, 0, 0, 0, 0, 255, 255, 255]].concat();
    let [low, high] = side.to_le_bytes();
    for _ in 0..frames {
        file.extend([b',', 0, 0, 0, 0, low, high, low, high, 0, 2, 2, 0x4c, 0x01, 0]);
    }
    file.push(b';');
    file
}

fn webp(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (kind, data) in chunks {
        body.extend_from_slice(*kind);
        body.extend((data.len() as u32).to_le_bytes());
        body.extend_from_slice(data);
        body.resize(body.len().next_multiple_of(2), 0);
    }
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// A lossless WebP of one pixel with so many groups of codes, each of which has tables of 70 kilobytes and is said in ten bytes.
fn many_codes(groups: u16) -> Vec<u8> {
    let (mut data, mut filled) = (Vec::<u8>::new(), 0);
    let mut bits = |value: u64, count: u32| {
        for bit in 0..count {
            if filled % 8 == 0 {
                data.push(0);
            }
            *data.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (filled % 8);
            filled += 1;
        }
    };
    // Signature, one pixel, no transform, 2^11 colours that are kept, and groups for blocks of 4 x 4.
    for (value, count) in [(0x2f, 8), (0, 14), (0, 14), (0, 4), (0, 1), (1, 1), (11, 4), (1, 1), (0, 3)] {
        bits(value, count);
    }
    // The picture of the groups is one pixel, whose codes have one symbol each: the last group's number.
    let [high, low] = (groups - 1).to_be_bytes().map(u64::from);
    bits(0, 1);
    for symbol in [low, high, 0, 0, 0] {
        bits(1 | 1 << 2 | symbol << 3, 11);
    }
    for _ in 0..groups {
        // Lengths of one kind, 11, which then take no bits, for 2^11 symbols.
        bits(0, 1);
        bits(11, 4);
        bits(0, 42);
        bits(1, 3);
        bits(1 | 5 << 1 | 2046 << 4, 16);
        (0..4).for_each(|_| bits(1, 4));
    }
    bits(0, 32);
    data
}

/// The codes of a picture as those of alpha, which has no header of 40 bits.
fn encode_alpha(picture: &[u8]) -> Vec<u8> {
    [&[1][..], &picture[5..]].concat()
}

/// An `OpenEXR` of red, green and blue as floats, with blocks that all tables name: of tiles of `tile` pixels, or else of lines.
fn exr(layer: (u32, u32), shown: (u32, u32), compression: u8, tile: Option<u32>, block: &[u8]) -> Vec<u8> {
    fn attribute(name: &str, kind: &str, value: &[u8]) -> Vec<u8> {
        [name.as_bytes(), b"\0", kind.as_bytes(), b"\0", &(value.len() as u32).to_le_bytes(), value].concat()
    }
    let window = |(width, height): (u32, u32)| {
        [0, 0, width.wrapping_sub(1), height.wrapping_sub(1)].map(u32::to_le_bytes).concat()
    };
    let channel = |name: u8| [name, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0];
    let channels = [&channel(b'B')[..], &channel(b'G'), &channel(b'R'), &[0]].concat();
    let one = 1_f32.to_le_bytes();
    let mut file = [
        &b"\x76\x2f\x31\x01\x02"[..],
        if tile.is_some() { &[2, 0, 0] } else { &[0, 0, 0] },
        &attribute("channels", "chlist", &channels),
        &attribute("compression", "compression", &[compression]),
        &attribute("dataWindow", "box2i", &window(layer)),
        &attribute("displayWindow", "box2i", &window(shown)),
        &attribute("lineOrder", "lineOrder", &[0]),
        &attribute("pixelAspectRatio", "float", &one),
        &attribute("screenWindowCenter", "v2f", &[0; 8]),
        &attribute("screenWindowWidth", "float", &one),
    ]
    .concat();
    if let Some(side) = tile {
        let tiles = [&side.to_le_bytes()[..], &side.to_le_bytes(), &[0]].concat();
        file.extend(attribute("tiles", "tiledesc", &tiles));
    }
    file.push(0);
    let blocks = 4;
    let at = file.len() as u64 + 8 * blocks;
    (0..blocks).for_each(|_| file.extend(at.to_le_bytes()));
    file.extend(if tile.is_some() { vec![0; 16] } else { vec![0; 4] });
    file.extend(block);
    file
}

/// A block that says how long it is.
fn sized(data: &[u8]) -> Vec<u8> {
    [&(data.len() as u32).to_le_bytes(), data].concat()
}

/// A block of the compression DWA, that announces so much of each kind of data.
fn dwa(unknown: u64, runs: (u64, u64), coefficients: (u64, u64)) -> Vec<u8> {
    let deflated = zeros(0);
    let length = deflated.len() as u64;
    let numbers = [2, unknown, length, length, length, length, runs.0, runs.1, coefficients.0, coefficients.1, 1];
    let numbers: Vec<u8> = numbers.iter().flat_map(|number: &u64| number.to_le_bytes()).collect();
    sized(&[&numbers[..], &[2, 0], &deflated.repeat(4)].concat())
}

fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let page = |width, height| [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (262, 3, 1, 1)];
    let strips = |width, height, more: &[_]| tiff(&[&page(width, height), more].concat());
    let wide = [0x02, 0, 0, 0, 0xff, 0x3f, 0, 0xff, 0x3f, 0];
    let frame = [&[0; 6][..], &[0xff, 0x3f, 0, 0xff, 0x3f, 0, 0, 0, 0, 0], b"VP8L\x08\0\0\0\x2f\xff\xff\xff\x0f\0\0\0"]
        .concat();
    let jpeg = b"\xff\xd8\xff\xc2\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\0\0\xff\xd9";
    vec![
        ("PNG of 60000 x 60000", png(60_000, 60_000, b"")),
        ("PNG of the largest size", png(0x7fff_ffff, 0x7fff_ffff, b"")),
        ("ICO of a PNG of 60000 x 60000", ico(&png(60_000, 60_000, b""))),
        ("ICO of an absurd bitmap", ico(&[&bitmap_header(0x7fff_ffff, 0x7fff_fffe, 32, 0), &[0; 99][..]].concat())),
        ("ICO of a large bitmap", ico(&[&bitmap_header(60_000, 120_000, 1, 0), &[0; 99][..]].concat())),
        (
            "ICO of 65535 entries that are not there",
            [0, 0, 1, 0, 255, 255, 16, 16, 0, 0, 1, 0, 32, 0, 9, 0, 0, 0, 9, 9, 9, 9].into(),
        ),
        ("BMP of 60000 x 60000", bmp(60_000, 60_000, 24, 0)),
        ("BMP of an absurd size", bmp(0x7fff_ffff, 0x8000_0001, 32, 0)),
        ("BMP of runs, 60000 x 60000", bmp(60_000, 60_000, 8, 1)),
        ("BMP of runs, absurd", bmp(0xffff_ffff, 0x8000_0000, 8, 1)),
        ("GIF with a screen of 65535 x 65535", gif(65_535, 1, 1)),
        ("GIF with a frame of 65535 x 65535", gif(1, 65_535, 1)),
        ("GIF with frames of 14000 x 14000", gif(1, 14_000, 40)),
        ("JPEG of 65535 x 65535", jpeg.to_vec()),
        ("TIFF of 60000 x 60000", strips(60_000, 60_000, &[(273, 4, 1, 8), (279, 4, 1, 9)])),
        ("TIFF of the largest size", strips(u32::MAX, u32::MAX, &[(273, 4, 1, 8), (279, 4, 1, 9)])),
        ("TIFF of four billion strips", strips(9, 9, &[(273, 4, u32::MAX, 8), (279, 4, u32::MAX, 9)])),
        (
            "TIFF of one strip that should be nine thousand",
            strips(9, 9000, &[(273, 4, 1, 8), (278, 4, 1, 1), (279, 4, 1, 9)]),
        ),
        (
            "TIFF of a tile without end",
            strips(9, 9, &[(322, 4, 1, 1 << 31), (323, 4, 1, 1 << 31), (324, 4, 1, 8), (325, 4, 1, 9)]),
        ),
        (
            "TIFF of large tiles",
            strips(9, 9, &[(322, 4, 1, 60_000), (323, 4, 1, 60_000), (324, 4, 1, 8), (325, 4, 1, 9)]),
        ),
        ("TIFF of 65535 samples", strips(9, 9, &[(273, 4, 1, 8), (277, 3, 1, 65_535), (279, 4, 1, 9)])),
        ("TIFF of a strip of four gigabytes", strips(9, 9, &[(259, 3, 1, 5), (273, 4, 1, 8), (279, 4, 1, u32::MAX)])),
        ("TIFF that goes round", strips(9, 9, &[(273, 4, 1, u32::MAX), (279, 4, 1, 9)])),
        ("WebP animation of 16384 x 16384", webp(&[(b"VP8X", &wide), (b"ANIM", &[0; 6]), (b"ANMF", &frame)])),
        ("WebP of many codes", webp(&[(b"VP8L", &many_codes(u16::MAX))])),
        ("WebP of many codes of alpha", {
            let lossy = encode_alpha(&many_codes(u16::MAX));
            webp(&[
                (b"VP8X", &[0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                (b"ALPH", &lossy),
                (b"VP8 ", b"\x10\0\0\x9d\x01\x2a\x01\0\x01\0\0\0"),
            ])
        }),
        // The pictures that describe its transforms are of one colour, which takes no bits.
        ("WebP whose alpha is 16777216 x 16777216", {
            webp(&[
                (b"VP8X", b"\x10\0\0\0\xff\xff\xff\xff\xff\xff"),
                (b"ALPH", b"\x01\x81\x88\x88\0"),
                (b"VP8 ", b"\x10\0\0\x9d\x01\x2a\x01\0\x01\0\0\0"),
            ])
        }),
        ("WebP of 16384 x 16384", webp(&[(b"VP8L", b"\x2f\xff\xff\xff\x0f\0\0\0")])),
        ("PNM of 60000 x 60000", b"P6 60000 60000 255\n".to_vec()),
        ("PNM of an absurd size", b"P4 4294967295 4294967295\n".to_vec()),
        ("PAM of many channels", b"P7\nWIDTH 9\nHEIGHT 9\nDEPTH 4294967295\nMAXVAL 255\nENDHDR\n".to_vec()),
        ("TGA of 65535 x 65535", [0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 32, 8, 0, 0].to_vec()),
        (
            "TGA with a map of 65535 colours",
            [0, 1, 9, 0, 0, 255, 255, 32, 0, 0, 0, 0, 255, 255, 255, 255, 8, 0, 0, 0].to_vec(),
        ),
        ("QOI of an absurd size", b"qoif\xff\xff\xff\xff\xff\xff\xff\xff\x04\0\0\0\0\0\0\0\0\x01".to_vec()),
        ("Farbfeld of an absurd size", b"farbfeld\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("HDR of 60000 x 60000", b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n".to_vec()),
        ("EXR of an absurd size", exr((1 << 30, 1 << 30), (1 << 30, 1 << 30), 1, None, &[])),
        ("EXR of 60000 x 60000", exr((9, 9), (60_000, 60_000), 1, None, &[])),
        // Found by fuzzing.
        ("EXR of a line of 60000000 pixels", exr((60_000_000, 4), (8, 4), 1, None, &700_000_000_u32.to_le_bytes())),
        ("EXR of a line of 65000 pixels", exr((65_000, 256), (8, 4), 9, None, &100_000_000_u32.to_le_bytes())),
        ("EXR of a large tile", exr((9, 9), (9, 9), 1, Some(20_000), &(i32::MAX as u32).to_le_bytes())),
        ("EXR of a tile without end", exr((9, 9), (9, 9), 1, Some(1 << 31), &(i32::MAX as u32).to_le_bytes())),
        ("EXR of many tiles", exr((1 << 29, 1 << 29), (9, 9), 1, Some(1), &[])),
        ("EXR of raw data without end", exr((9, 9), (9, 9), 8, None, &dwa(1 << 45, (0, 0), (0, 0)))),
        ("EXR of runs without end", exr((9, 9), (9, 9), 8, None, &dwa(0, (1 << 45, 9), (0, 0)))),
        ("EXR of coefficients without end", exr((9, 9), (9, 9), 8, None, &dwa(0, (0, 0), (1 << 45, 1)))),
        ("EXR of squares without end", exr((9, 9), (9, 9), 9, None, &dwa(0, (0, 0), (1, 1 << 45)))),
    ]
}

/// A PNG of one pixel that names a colour of a palette of so many bytes.
fn indexed(depth: u8, palette: usize, transparent: usize) -> Vec<u8> {
    [
        &b"\x89PNG\r\n\x1a\n"[..],
        &chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, depth, 3, 0, 0, 0]),
        &chunk(b"PLTE", &vec![7; palette]),
        &chunk(b"tRNS", &vec![9; transparent]),
        &chunk(b"IDAT", &zeros(2)),
        &chunk(b"IEND", b""),
    ]
    .concat()
}

#[test]
fn a_palette_that_ends_within_a_colour_is_damage_and_no_panic() {
    for depth in [1, 2, 4, 8] {
        for transparent in [0, 1, 2] {
            for palette in [1, 2, 4, 5] {
                let file = indexed(depth, palette, transparent);
                let error = decode(&file, &DecodeOptions::default()).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Decode, "{depth} bits, {palette} bytes: {error}");
                assert!(!error.message().contains("panicked"), "{depth} bits, {palette} bytes: {error}");
            }
            assert!(decode(&indexed(depth, 3, transparent.min(1)), &DecodeOptions::default()).is_ok());
        }
    }
}

#[test]
fn bombs_are_refused_in_time_and_without_their_memory() {
    let measured = |name: &str, file: &[u8], options: &DecodeOptions| {
        let started = Instant::now();
        let (result, taken) = support::counted(|| decode(file, options));
        let time = started.elapsed();
        assert!(taken < 32 << 20, "{name} took {taken} bytes");
        assert!(time < Duration::from_secs(5), "{name} took {time:?}");
        result
    };
    for frame in [0, 30, u32::MAX] {
        for (name, file) in bombs() {
            for allow_truncated in [false, true] {
                let options = DecodeOptions { frame, allow_truncated, icc: Icc::Srgb, ..DecodeOptions::default() };
                // What is left of a file that may be cut off is a picture.
                let Err(error) = measured(name, &file, &options) else {
                    assert!(allow_truncated, "{name}");
                    continue;
                };
                assert!(
                    matches!(error.kind(), ErrorKind::Limit | ErrorKind::Decode | ErrorKind::Unsupported),
                    "{name}: {error}"
                );
                assert!(!error.message().contains("panicked"), "{name}: {error}");
                let large = frame == 0 && (name.contains("60000 x 60000") || name.contains("65535 x 65535"));
                assert!(!large || error.kind() == ErrorKind::Limit, "{name}: {error}");
            }
        }
    }

    // A few codes are no bomb.
    let few = webp(&[(b"VP8L", &many_codes(9))]);
    assert_eq!(measured("WebP of nine groups", &few, &DecodeOptions::default()).unwrap().width(), 1);

    // What is compressed beside the picture grows no more than it may.
    let much = zeros(64 << 20);
    for (kind, name) in [(&b"iCCP"[..], &b"profile\0\0"[..]), (b"zTXt", b"Raw profile type exif\0\0")] {
        let file = png(3, 2, &chunk(kind, &[name, &much].concat()));
        let options = DecodeOptions { icc: Icc::Srgb, ..DecodeOptions::default() };
        measured("PNG with much beside it", &file, &options).unwrap();
    }

    // Frames before the one asked for are bounded together.
    let limits = Limits { max_pixels: 100, ..Limits::default() };
    let file = gif(10, 10, 17);
    for (frame, kind) in [(15, None), (16, Some(ErrorKind::Limit))] {
        let options = DecodeOptions { limits, frame, allow_truncated: true, ..DecodeOptions::default() };
        assert_eq!(measured("GIF of many frames", &file, &options).err().map(|e| e.kind()), kind);
    }
}
