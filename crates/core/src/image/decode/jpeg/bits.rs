//! Bits of entropy-coded data: stuffed zeros taken out, nothing read past a marker.
//!
//! After the last bit come zeros without end, as libjpeg gives them; [`Bits::overrun`] tells.

use super::markers::{RST0, RST7, SOF0, find_marker};

/// Reads from the most significant bit on.
///
/// A copy: loops work on one of their own, which the compiler keeps in registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bits<'a> {
    data: &'a [u8],
    /// The next byte that is not yet counted in.
    at: usize,
    /// The next bits, from the top. Those below `count` are zero or the next byte's.
    buffer: u64,
    /// How many bits of `buffer` are counted in, at most 63.
    count: u32,
    /// How many of the bits counted in since the start are zeros of our own.
    padding: u32,
}

const ONES: u64 = 0x0101_0101_0101_0101;

impl<'a> Bits<'a> {
    /// From byte `at` of `data` on.
    pub(crate) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, buffer: 0, count: 0, padding: 0 }
    }

    /// Makes at least 32 bits ready: a whole symbol (17 bits of an unknown code, or 16 and 15 of its value).
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        if self.count < 32 {
            self.fill();
        }
    }

    #[inline(always)]
    fn fill(&mut self) {
        if let Some(next) = self.data.get(self.at..).and_then(|rest| rest.first_chunk()) {
            let word = u64::from_be_bytes(*next);
            // No byte is 0xff: no byte of the complement is zero.
            if (!word).wrapping_sub(ONES) & word & (ONES << 7) == 0 {
                self.buffer |= word >> self.count;
                self.at += (63 - self.count as usize) >> 3;
                self.count |= 0x38;
                return;
            }
        }
        *self = self.filled_by_bytes();
    }

    #[cold]
    #[inline(never)]
    fn filled_by_bytes(mut self) -> Self {
        while self.count < 56 {
            let byte = match self.data.get(self.at) {
                Some(0xff) => {
                    let mut code = self.at + 1;
                    while self.data.get(code) == Some(&0xff) {
                        code += 1;
                    }
                    if self.data.get(code) != Some(&0) {
                        // A marker, or the end. Stay at the last 0xff.
                        self.at = code - 1;
                        return self.padded();
                    }
                    self.at = code + 1;
                    0xff
                }
                Some(byte) => {
                    self.at += 1;
                    *byte
                }
                None => return self.padded(),
            };
            self.buffer |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
        self
    }

    fn padded(mut self) -> Self {
        self.padding = self.padding.saturating_add(56 - self.count);
        self.count = 56;
        self
    }

    /// The next `n` bits, 1 to 32, which [`refill`](Self::refill) has made ready.
    #[inline(always)]
    pub(crate) fn peek(&self, n: u32) -> u32 {
        (self.buffer >> (64 - n)) as u32
    }

    /// Passes over `n` bits that are ready.
    #[inline(always)]
    pub(crate) fn skip(&mut self, n: u32) {
        self.buffer <<= n;
        self.count = self.count.wrapping_sub(n);
    }

    /// `n` bits, 1 to 16, which are ready.
    #[inline(always)]
    pub(crate) fn take(&mut self, n: u32) -> u32 {
        let bits = self.peek(n);
        self.skip(n);
        bits
    }

    /// A coefficient of `size` bits, 1 to 15, which are ready (T.81, F.2.2.1, EXTEND).
    #[inline(always)]
    pub(crate) fn value(&mut self, size: u32) -> i32 {
        extend(self.take(size), size)
    }

    /// One bit.
    #[inline(always)]
    pub(crate) fn bit(&mut self) -> bool {
        self.refill();
        self.take(1) == 1
    }

    /// Whether more bits were taken than the data has.
    #[inline(always)]
    pub(crate) fn overrun(&self) -> bool {
        self.padding > self.count
    }

    /// The byte to look for the next marker from. Bits that are ready are given up.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Goes on after the restart marker number `expected`, 0 to 7. False if the data goes on elsewhere: no bits come then.
    ///
    /// Another marker in its place is judged as libjpeg does: one of the next two restarts, or another segment, is left to be
    /// found again, since data were lost; one of the last two is passed over, since it was seen late; any other is taken.
    pub(crate) fn restart(&mut self, expected: u8) -> bool {
        (self.buffer, self.count, self.padding) = (0, 0, 0);
        while let Some((marker, after)) = find_marker(self.data, self.at) {
            let ahead = match marker {
                RST0..=RST7 => (marker - RST0).wrapping_sub(expected) & 7,
                SOF0.. => 1,
                _ => 7,
            };
            match ahead {
                1 | 2 => {
                    self.at = after - 2;
                    return false;
                }
                6 | 7 => self.at = after,
                _ => {
                    self.at = after;
                    return true;
                }
            }
        }
        self.at = self.data.len();
        false
    }
}

/// The number that `bits`, `size` of them, stand for: those whose first bit is 0 are negative.
#[inline(always)]
pub(crate) fn extend(bits: u32, size: u32) -> i32 {
    let bits = bits as i32;
    bits + (((bits - (1 << (size - 1))) >> 31) & ((-1 << size) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8], n: usize) -> (Vec<u32>, Bits<'_>) {
        let mut bits = Bits::new(data, 0);
        let bytes = (0..n)
            .map(|_| {
                bits.refill();
                bits.take(8)
            })
            .collect();
        (bytes, bits)
    }

    #[test]
    fn stuffed_zeros_are_taken_out() {
        let (bytes, bits) = read(&[1, 0xff, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0xff, 0xff, 0, 11], 13);
        assert_eq!(bytes, [1, 0xff, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0xff, 11]);
        assert!(!bits.overrun());
    }

    #[test]
    fn zeros_follow_a_marker_and_are_told() {
        let (bytes, bits) = read(&[1, 2, 0xff, 0xd9, 3], 2);
        assert_eq!(bytes, [1, 2]);
        assert!(!bits.overrun());
        assert_eq!(bits.position(), 2);
        let (bytes, bits) = read(&[1, 2, 0xff, 0xd9, 3], 30);
        assert_eq!((bytes[1], bytes[2], bytes[29]), (2, 0, 0));
        assert!(bits.overrun());
    }

    #[test]
    fn values_extend_as_the_standard_says() {
        let four: Vec<i32> = (0..16).map(|bits| extend(bits, 4)).collect();
        assert_eq!(four, [-15, -14, -13, -12, -11, -10, -9, -8, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!((extend(0, 1), extend(1, 1), extend(0, 15)), (-1, 1, -32767));
    }

    #[test]
    fn restarts_are_found_again_after_damage() {
        let data = [9, 9, 0xff, 0xd3, 0x55, 0xff, 0xd9];
        for (expected, found, next) in [(3, true, 0x55), (2, false, 0), (1, false, 0), (4, false, 0), (7, true, 0x55)] {
            let mut bits = Bits::new(&data, 0);
            assert_eq!(bits.restart(expected), found, "{expected}");
            bits.refill();
            assert_eq!(bits.take(8), next, "{expected}");
        }
    }
}
