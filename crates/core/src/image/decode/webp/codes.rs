//! How much memory the codes of a lossless WebP take, before they are made.
//!
//! Such a picture may have 65536 groups of five Huffman codes, each described by a few bits, whose tables together have more than a
//! gigabyte for a file of two megabytes. The crate that decodes pixels makes all of them. So the header is walked through first: the
//! small pictures that describe transforms are passed over, the one that gives each block its group is read, and the codes are counted.

/// Alphabets of a group's codes: green (with lengths, and colours kept), red, blue, alpha, distances.
const ALPHABETS: [usize; 5] = [256 + 24, 256, 256, 256, 40];
const LENGTH_ORDER: [usize; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
const LONGEST: usize = 15;
/// Bits that are looked up together, in a table of four bytes each; longer codes are nodes of a tree.
const TABLE_BITS: usize = 10;
const NODE: u64 = 32;
/// A group of five codes in a list that grows.
const GROUP: u64 = 1024;

/// Bytes that the codes of `stream` take, a `VP8L` chunk, or at least more than `most`. Zero where it is damaged, which is found anyway.
pub(super) fn memory(stream: &[u8], most: u64) -> u64 {
    let mut bits = Bits { data: stream, at: 0 };
    let mut header = || {
        let (_, width, height, _) = (bits.read(8)?, bits.read(14)?, bits.read(14)?, bits.read(4)?);
        Some((width as usize + 1, height as usize + 1))
    };
    header().and_then(|(width, height)| of_picture(&mut bits, width, height, most)).unwrap_or(0)
}

/// The same of alpha, a stream without a header of its own.
pub(super) fn memory_of_alpha(stream: &[u8], width: usize, height: usize, most: u64) -> u64 {
    match stream.split_first() {
        Some((kind, stream)) if kind & 3 == 1 => {
            of_picture(&mut Bits { data: stream, at: 0 }, width, height, most).unwrap_or(0)
        }
        _ => 0,
    }
}

fn of_picture(bits: &mut Bits<'_>, mut width: usize, height: usize, most: u64) -> Option<u64> {
    // Each transform comes once at most.
    for _ in 0..=4 {
        if bits.read(1)? == 0 {
            break;
        }
        match bits.read(2)? {
            0 | 1 => {
                let block = bits.read(3)? + 2;
                part(bits, blocks(width, block), blocks(height, block), &mut Nothing)?;
            }
            2 => {}
            _ => {
                let colours = bits.read(8)? as usize + 1;
                part(bits, colours, 1, &mut Nothing)?;
                // Few colours share a byte.
                width = match colours {
                    0..=2 => blocks(width, 3),
                    3..=4 => blocks(width, 2),
                    5..=16 => blocks(width, 1),
                    _ => width,
                };
            }
        }
    }
    let kept = colours_kept(bits)?;
    let mut groups = 1;
    if bits.read(1)? == 1 {
        let block = bits.read(3)? + 2;
        let mut pixels = Pixels::default();
        part(bits, blocks(width, block), blocks(height, block), &mut pixels)?;
        groups = pixels.all.iter().map(|pixel| u64::from(pixel >> 8 & 0xffff) + 1).max()?;
    }
    let mut memory = 0;
    for _ in 0..groups {
        memory += GROUP;
        for (number, alphabet) in ALPHABETS.into_iter().enumerate() {
            memory += Code::read(bits, alphabet + if number == 0 { kept } else { 0 })?.memory();
        }
        if memory > most {
            break;
        }
    }
    Some(memory)
}

fn blocks(length: usize, bits: u32) -> usize {
    length.div_ceil(1 << bits)
}

/// How many colours are kept to be named again.
fn colours_kept(bits: &mut Bits<'_>) -> Option<usize> {
    if bits.read(1)? == 0 {
        return Some(0);
    }
    let size = bits.read(4)?;
    (1..=11).contains(&size).then(|| 1 << size)
}

/// What becomes of the pixels of a part.
trait Take {
    /// A pixel of alpha, red, green and blue.
    fn pixel(&mut self, argb: u32);
    /// The pixels from `distance` back, so many of them. `None` if there are none so far back.
    fn again(&mut self, distance: usize, length: usize) -> Option<()>;
    /// One of so many colours kept.
    fn kept(&mut self, place: usize, kept: usize);
}

/// Only where they end matters.
struct Nothing;

impl Take for Nothing {
    fn pixel(&mut self, _: u32) {}

    fn again(&mut self, _: usize, _: usize) -> Option<()> {
        Some(())
    }

    fn kept(&mut self, _: usize, _: usize) {}
}

#[derive(Default)]
struct Pixels {
    all: Vec<u32>,
    /// Up to where the pixels are among the colours kept.
    seen: usize,
    colours: Vec<u32>,
}

impl Take for Pixels {
    fn pixel(&mut self, argb: u32) {
        self.all.push(argb);
    }

    fn again(&mut self, distance: usize, length: usize) -> Option<()> {
        let start = self.all.len().checked_sub(distance)?;
        (0..length).for_each(|i| self.all.push(self.all[start + i]));
        Some(())
    }

    fn kept(&mut self, place: usize, kept: usize) {
        self.colours.resize(kept, 0);
        for pixel in &self.all[self.seen..] {
            let hash = pixel.wrapping_mul(0x1e35_a7bd) >> (32 - kept.ilog2());
            self.colours[hash as usize] = *pixel;
        }
        self.seen = self.all.len();
        self.all.push(self.colours.get(place).copied().unwrap_or(0));
    }
}

/// Reads a small picture that describes the large one.
fn part(bits: &mut Bits<'_>, width: usize, height: usize, take: &mut impl Take) -> Option<()> {
    let kept = colours_kept(bits)?;
    let mut code = |number: usize, more: usize| Code::read(bits, ALPHABETS[number] + more);
    let (green, red, blue, alpha) = (code(0, kept)?, code(1, 0)?, code(2, 0)?, code(3, 0)?);
    let distance = code(4, 0)?;
    let (mut done, pixels) = (0, width * height);
    while done < pixels {
        match green.symbol(bits)? {
            green @ 0..256 => {
                let [r, b, a] = [red.symbol(bits)?, blue.symbol(bits)?, alpha.symbol(bits)?].map(|s| s as u32);
                take.pixel(a << 24 | r << 16 | (green as u32) << 8 | b);
                done += 1;
            }
            symbol @ 256..280 => {
                let length = prefixed(bits, symbol - 256)?.min(pixels - done);
                let symbol = distance.symbol(bits)?;
                let distance = prefixed(bits, symbol)?;
                take.again(far(distance, width), length)?;
                done += length;
            }
            symbol => {
                take.kept(symbol - 280, kept);
                done += 1;
            }
        }
    }
    Some(())
}

/// A number that a symbol and some bits after it give.
fn prefixed(bits: &mut Bits<'_>, symbol: usize) -> Option<usize> {
    if symbol < 4 {
        return Some(symbol + 1);
    }
    let more = (symbol - 2) >> 1;
    Some(((2 + (symbol & 1)) << more) + bits.read(more as u32)? as usize + 1)
}

/// How many pixels back a distance is; the first 120 are places around a pixel.
fn far(distance: usize, width: usize) -> usize {
    match NEAR.get(distance - 1) {
        Some(&(x, y)) => (isize::from(x) + isize::from(y) * width as isize).max(1) as usize,
        None => distance - NEAR.len(),
    }
}

/// Places to the left, and up, by RFC 9649, section 5.2.2.
#[rustfmt::skip]
const NEAR: [(i8, i8); 120] = [
    (0, 1),  (1, 0),  (1, 1),  (-1, 1), (0, 2),  (2, 0),  (1, 2),  (-1, 2),
    (2, 1),  (-2, 1), (2, 2),  (-2, 2), (0, 3),  (3, 0),  (1, 3),  (-1, 3),
    (3, 1),  (-3, 1), (2, 3),  (-2, 3), (3, 2),  (-3, 2), (0, 4),  (4, 0),
    (1, 4),  (-1, 4), (4, 1),  (-4, 1), (3, 3),  (-3, 3), (2, 4),  (-2, 4),
    (4, 2),  (-4, 2), (0, 5),  (3, 4),  (-3, 4), (4, 3),  (-4, 3), (5, 0),
    (1, 5),  (-1, 5), (5, 1),  (-5, 1), (2, 5),  (-2, 5), (5, 2),  (-5, 2),
    (4, 4),  (-4, 4), (3, 5),  (-3, 5), (5, 3),  (-5, 3), (0, 6),  (6, 0),
    (1, 6),  (-1, 6), (6, 1),  (-6, 1), (2, 6),  (-2, 6), (6, 2),  (-6, 2),
    (4, 5),  (-4, 5), (5, 4),  (-5, 4), (3, 6),  (-3, 6), (6, 3),  (-6, 3),
    (0, 7),  (7, 0),  (1, 7),  (-1, 7), (5, 5),  (-5, 5), (7, 1),  (-7, 1),
    (4, 6),  (-4, 6), (6, 4),  (-6, 4), (2, 7),  (-2, 7), (7, 2),  (-7, 2),
    (3, 7),  (-3, 7), (7, 3),  (-7, 3), (5, 6),  (-5, 6), (6, 5),  (-6, 5),
    (8, 0),  (4, 7),  (-4, 7), (7, 4),  (-7, 4), (8, 1),  (8, 2),  (6, 6),
    (-6, 6), (8, 3),  (5, 7),  (-5, 7), (7, 5),  (-7, 5), (8, 4),  (6, 7),
    (-6, 7), (7, 6),  (-7, 6), (8, 5),  (7, 7),  (-7, 7), (8, 6),  (8, 7),
];

/// A Huffman code.
struct Code {
    /// How many symbols have codes of each length.
    counts: [usize; LONGEST + 1],
    /// From the shortest code on.
    symbols: Vec<u16>,
}

impl Code {
    fn read(bits: &mut Bits<'_>, alphabet: usize) -> Option<Self> {
        if bits.read(1)? == 1 {
            let two = bits.read(1)? == 1;
            let wide = bits.read(1)? == 1;
            let first = bits.read(if wide { 8 } else { 1 })? as usize;
            let mut lengths = vec![0; alphabet];
            *lengths.get_mut(first)? = 1;
            if two {
                *lengths.get_mut(bits.read(8)? as usize)? = 1;
            }
            return Some(Self::of(&lengths));
        }
        let mut lengths = [0; 19];
        let count = bits.read(4)? as usize + 4;
        for place in &LENGTH_ORDER[..count] {
            lengths[*place] = bits.read(3)? as u8;
        }
        let code = Self::of(&lengths);
        let mut left = if bits.read(1)? == 1 {
            let size = 2 + 2 * bits.read(3)?;
            bits.read(size)? as usize + 2
        } else {
            alphabet
        };
        let (mut lengths, mut last) = (Vec::with_capacity(alphabet), 8);
        while lengths.len() < alphabet && left > 0 {
            left -= 1;
            let (length, times) = match code.symbol(bits)? {
                length @ 0..16 => (length as u8, 1),
                16 => (last, bits.read(2)? as usize + 3),
                17 => (0, bits.read(3)? as usize + 3),
                _ => (0, bits.read(7)? as usize + 11),
            };
            if length != 0 {
                last = length;
            }
            lengths.resize(lengths.len() + times, length);
        }
        (lengths.len() <= alphabet).then(|| Self::of(&lengths))
    }

    fn of(lengths: &[u8]) -> Self {
        let mut counts = [0; LONGEST + 1];
        for length in lengths.iter().filter(|length| **length > 0) {
            counts[usize::from(*length)] += 1;
        }
        let mut symbols: Vec<u16> = (0..lengths.len() as u16).filter(|s| lengths[usize::from(*s)] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        Self { counts, symbols }
    }

    /// The next symbol. A code of one symbol takes no bits.
    fn symbol(&self, bits: &mut Bits<'_>) -> Option<usize> {
        if let [only] = self.symbols[..] {
            return Some(only.into());
        }
        let (mut code, mut first, mut before) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.read(1)? as usize;
            if let Some(place) = code.checked_sub(first).filter(|place| place < count) {
                return self.symbols.get(before + place).map(|symbol| usize::from(*symbol));
            }
            before += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }

    /// Bytes of its table and its tree.
    fn memory(&self) -> u64 {
        if self.symbols.len() < 2 {
            return 0;
        }
        let longest = self.counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        let nodes: usize = self.counts[TABLE_BITS + 1..].iter().sum();
        (4 << longest.min(TABLE_BITS)) + NODE * nodes as u64
    }
}

/// Bits from the lowest of each byte on.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// A number of `count` bits, at most 24.
    fn read(&mut self, count: u32) -> Option<u32> {
        if count == 0 {
            return Some(0);
        }
        let (byte, bit) = (self.at / 8, self.at % 8);
        let last = (self.at + count as usize - 1) / 8;
        let bytes = self.data.get(byte..=last)?;
        let all = bytes.iter().rev().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        self.at += count as usize;
        Some((all >> bit) as u32 & ((1 << count) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{EncodeFormat, Image, Mode, Samples, encode};

    #[test]
    fn an_ordinary_picture_has_one_group_of_small_tables() {
        let samples = (0..64 * 48 * 4).map(|i| (i * i / 97) as u8).collect();
        let image = Image::new(Mode::Rgba, 64, 48, Samples::U8(samples)).unwrap();
        let file = encode(&image, EncodeFormat::WebP).unwrap();
        let at = file.windows(4).position(|w| w == b"VP8L").unwrap() + 8;
        let memory = memory(&file[at..], u64::MAX);
        assert!((GROUP + 1..64 << 10).contains(&memory), "{memory}");
        for length in 0..40 {
            assert!(super::memory(&file[at..at + length], u64::MAX) <= memory, "{length}");
        }
    }

    #[test]
    fn symbols_are_read_by_their_codes() {
        // 0, 10, 110, 111.
        let code = Code::of(&[3, 1, 3, 2]);
        let mut bits = Bits { data: &[0b1011_0110, 0b11], at: 0 };
        assert_eq!([(); 5].map(|()| code.symbol(&mut bits)), [1, 0, 0, 2, 1].map(Some));
    }

    #[test]
    fn near_places_and_far_ones_are_pixels_back() {
        assert_eq!([1, 2, 3, 4, 120, 121, 500].map(|distance| far(distance, 100)), [100, 1, 101, 99, 708, 1, 380]);
        assert_eq!(far(4, 1), 1);
    }
}
