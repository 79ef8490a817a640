//! Small pictures, each like no other: PNG and PPM, written by the simplest code that makes valid files.

const SIDE: usize = 24;

/// The name of picture `n` and its bytes. A few are no images at all.
pub(crate) fn picture(n: u64) -> (String, Vec<u8>) {
    match n % 100 {
        41 => (format!("{n:06}.png"), b"I am no image.".to_vec()),
        42 => {
            let whole = png(&pixels(n));
            (format!("{n:06}.png"), whole[..whole.len() / 2].to_vec())
        }
        n_ if n_ % 3 == 2 => (format!("{n:06}.ppm"), ppm(&pixels(n))),
        _ => (format!("{n:06}.png"), png(&pixels(n))),
    }
}

/// A rectangle on a gradient; colours, sizes and places depend on `n`.
fn pixels(n: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(n);
    let (left, top) = (random.usize(0..12), random.usize(0..12));
    let (right, bottom) = (random.usize(left + 4..SIDE), random.usize(top + 4..SIDE));
    let (colour, slope) = ([0; 3].map(|_: u8| random.u8(..)), [0; 3].map(|_: u8| random.u8(1..11)));
    let mut pixels = Vec::with_capacity(SIDE * SIDE * 3);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let inside = (left..right).contains(&x) && (top..bottom).contains(&y);
            let gradient = slope.map(|slope| ((x + 2 * y) as u8).wrapping_mul(slope / 2));
            pixels.extend(if inside { colour } else { gradient });
        }
    }
    pixels
}

fn ppm(pixels: &[u8]) -> Vec<u8> {
    [format!("P6\n{SIDE} {SIDE}\n255\n").as_bytes(), pixels].concat()
}

fn png(pixels: &[u8]) -> Vec<u8> {
    let side = (SIDE as u32).to_be_bytes();
    // 8 bits, RGB, and the usual methods.
    let header = [&side[..], &side, &[8, 2, 0, 0, 0]].concat();
    let rows: Vec<u8> = pixels.chunks(SIDE * 3).flat_map(|row| [&[0], row].concat()).collect();
    // One block that is stored as it is.
    let size = rows.len() as u16;
    let mut data = vec![0x78, 0x01, 0x01];
    data.extend(size.to_le_bytes());
    data.extend((!size).to_le_bytes());
    data.extend(&rows);
    data.extend(adler(&rows).to_be_bytes());
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in [(b"IHDR", &header), (b"IDAT", &data), (b"IEND", &Vec::new())] {
        let body = [&kind[..], content].concat();
        file.extend((content.len() as u32).to_be_bytes());
        file.extend(&body);
        file.extend(crc(&body).to_be_bytes());
    }
    file
}

fn adler(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    b << 16 | a
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_formats() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn pictures_differ() {
        assert_ne!(picture(0).1, picture(1).1);
        assert_eq!(picture(7), picture(7));
    }
}
