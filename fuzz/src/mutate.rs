//! Damage that is the same in every run: flipped bits, numbers that claim too much, cuts, copies, and parts of one file in another.

/// Xorshift: enough for damage.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Always the same for the same `seed`.
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to `end` - 1; 0 where `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end.max(1)
    }
}

/// Numbers at which readers stumble.
const NUMBERS: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, u64::MAX];

/// A damaged copy of one of `seeds`.
pub fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut file = pick(seeds, random).to_vec();
    for _ in 0..=random.below(4) {
        change(&mut file, seeds, random);
    }
    if random.below(2) == 0 {
        mend_sums(&mut file);
    }
    file
}

fn pick<'a>(seeds: &'a [Vec<u8>], random: &mut Random) -> &'a [u8] {
    seeds.get(random.below(seeds.len())).map_or(&[], Vec::as_slice)
}

fn change(file: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    // Headers are at the start, and damage there goes furthest.
    let near = if random.below(2) == 0 { file.len().min(96) } else { file.len() };
    let at = random.below(near);
    let most = if random.below(4) == 0 { 400 } else { 16 };
    let length = 1 + random.below(most);
    let end = (at + length).min(file.len());
    match random.below(8) {
        0 | 1 => {
            if let Some(byte) = file.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 | 3 => {
            let number = NUMBERS[random.below(NUMBERS.len())];
            let bytes = [1, 2, 4, 8][random.below(4)];
            let number =
                if random.below(2) == 0 { number.to_le_bytes() } else { (number << (64 - 8 * bytes)).to_be_bytes() };
            if let Some(there) = file.get_mut(at..at + bytes) {
                there.copy_from_slice(&number[..bytes]);
            }
        }
        4 => file.truncate(at),
        5 => drop(file.drain(at..end)),
        6 => {
            let copy = file[at..end].to_vec();
            let times = 1 + random.below(8);
            drop(file.splice(at..at, copy.repeat(times)));
        }
        _ => {
            let other = pick(seeds, random);
            let from = random.below(other.len());
            let part = &other[from..(from + length).min(other.len())];
            if random.below(4) == 0 {
                file.truncate(at);
                file.extend_from_slice(&other[from..]);
            } else {
                drop(file.splice(at..end, part.iter().copied()));
            }
        }
    }
}

/// Makes the sums of a PNG's chunks right again, or damage would go no further than to them.
fn mend_sums(file: &mut [u8]) {
    let Some(start) = file.windows(8).take(16).position(|w| w == b"\x89PNG\r\n\x1a\n") else { return };
    let mut at = start + 8;
    while let Some(&[a, b, c, d]) = file.get(at..at + 4) {
        let end = at + 8 + u32::from_be_bytes([a, b, c, d]) as usize;
        let Some(body) = file.get(at + 4..end) else { return };
        let sum = crc32(body);
        let Some(place) = file.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
