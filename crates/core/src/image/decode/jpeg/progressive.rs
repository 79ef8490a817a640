//! Blocks of progressive scans (T.81, annex G): a band of coefficients, down to a bit, or one bit more of each.

use super::{bits::Bits, frame::COEFFICIENTS, huffman::Table, zigzag::place};

/// A band and a bit of the coefficients of one component.
pub(crate) struct Band {
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// The bit that this scan gives.
    pub(crate) low: u32,
    /// Blocks still to come, this one among them, that hold nothing new in the band.
    pub(crate) empty: u32,
}

/// The first scan of a DC coefficient.
#[inline(always)]
pub(crate) fn dc_first(
    bits: &mut Bits<'_>,
    table: &Table,
    low: u32,
    prediction: &mut i32,
    block: &mut [i16; COEFFICIENTS],
) {
    *prediction = prediction.wrapping_add(table.coded(bits).value);
    block[0] = (*prediction << low) as i16;
}

/// One bit more of a DC coefficient.
#[inline(always)]
pub(crate) fn dc_more(bits: &mut Bits<'_>, low: u32, block: &mut [i16; COEFFICIENTS]) {
    if bits.bit() {
        block[0] |= 1 << low;
    }
}

impl Band {
    /// The number of blocks that symbol 16 `run` and its `run` bits announce, 1 to 32 767.
    #[inline(always)]
    fn run_of_blocks(bits: &mut Bits<'_>, run: usize) -> u32 {
        bits.refill();
        if run == 0 { 1 } else { (1 << run) + bits.take(run as u32) }
    }

    /// The first scan of a band of AC coefficients.
    #[inline(always)]
    pub(crate) fn first(&mut self, bits: &mut Bits<'_>, table: &Table, block: &mut [i16; COEFFICIENTS]) {
        if self.empty > 0 {
            self.empty -= 1;
            return;
        }
        let mut number = self.first;
        while number <= self.last {
            let coded = table.coded(bits);
            if coded.size == 0 {
                if coded.run != 15 {
                    self.empty = Self::run_of_blocks(bits, coded.run) - 1;
                    return;
                }
                number += 16;
                continue;
            }
            number += coded.run;
            block[place(number)] = (coded.value << self.low) as i16;
            number += 1;
        }
    }

    /// One bit more of a band of AC coefficients (T.81, figures G.7 and G.8).
    #[inline(always)]
    pub(crate) fn more(&mut self, bits: &mut Bits<'_>, table: &Table, block: &mut [i16; COEFFICIENTS]) {
        let one = 1_i16 << self.low;
        let mut number = self.first;
        while self.empty == 0 && number <= self.last {
            let (mut run, size) = table.symbol(bits);
            let mut new = 0;
            if size > 0 {
                // Only size 1 makes sense here; libjpeg takes others as 1.
                new = if bits.bit() { one } else { -one };
            } else if run != 15 {
                self.empty = Self::run_of_blocks(bits, run);
                break;
            }
            // The run counts coefficients that are zero so far; those that are not get their bit on the way.
            while number <= self.last {
                let coefficient = &mut block[place(number)];
                if *coefficient != 0 {
                    refine(bits, one, coefficient);
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                number += 1;
            }
            if new != 0 {
                block[place(number)] = new;
            }
            number += 1;
        }
        if self.empty > 0 {
            for number in number..=self.last {
                let coefficient = &mut block[place(number)];
                if *coefficient != 0 {
                    refine(bits, one, coefficient);
                }
            }
            self.empty -= 1;
        }
    }
}

/// Reads one bit more of a coefficient that is not zero; away from zero, unless it has the bit already.
#[inline(always)]
fn refine(bits: &mut Bits<'_>, one: i16, coefficient: &mut i16) {
    if bits.bit() && *coefficient & one == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient >= 0 { one } else { -one });
    }
}
