//! Huffman codes: from their lengths and symbols to look-ups (T.81, annexes C and F.2.2.3).

use super::bits::{Bits, extend};

/// A code as a file gives it: how many codes of each length 1 to 16, and their symbols in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) counts: [u8; 16],
    pub(crate) symbols: Vec<u8>,
}

/// How many bits one look-up sees.
const LOOK: u32 = 10;

/// A code, ready to decode.
///
/// A symbol is a run of zeros (its high four bits) and the size in bits of the value that follows (its low four).
pub(crate) struct Table {
    /// By the next [`LOOK`] bits: bits to pass over, run << 8, size still to read << 12, value << 16. The value is not 0
    /// where it too lies within the bits seen. 0 for codes that are longer.
    look: [u32; 1 << LOOK],
    /// The last code of each length, -1 where there is none.
    last: [i32; 17],
    /// What to add to a code of each length for the place of its symbol.
    place: [i32; 17],
    symbols: [u8; 256],
}

/// A symbol and its value.
pub(crate) struct Coded {
    pub(crate) run: usize,
    /// 0 for a symbol without a value.
    pub(crate) size: u32,
    pub(crate) value: i32,
}

impl Table {
    /// None where the lengths are no prefix code, or there are more than 256 symbols.
    pub(crate) fn new(code: &Code) -> Option<Box<Self>> {
        let mut table = Box::new(Self { look: [0; 1 << LOOK], last: [-1; 17], place: [0; 17], symbols: [0; 256] });
        table.symbols.get_mut(..code.symbols.len())?.copy_from_slice(&code.symbols);
        let (mut next, mut place) = (0_u32, 0_usize);
        for (length, count) in (1_u32..).zip(code.counts) {
            let symbols = code.symbols.get(place..place + usize::from(count))?;
            table.place[length as usize] = place as i32 - next as i32;
            for symbol in symbols {
                if next >= 1 << length {
                    return None;
                }
                if length <= LOOK {
                    table.enter(next, length, *symbol);
                }
                table.last[length as usize] = next as i32;
                next += 1;
            }
            place += symbols.len();
            next <<= 1;
        }
        Some(table)
    }

    /// Every look-up that starts with `code`.
    fn enter(&mut self, code: u32, length: u32, symbol: u8) {
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        let rest = LOOK - length;
        let first = (code << rest) as usize;
        let Some(entries) = self.look.get_mut(first..first + (1 << rest)) else { return };
        for (low, entry) in (0_u32..).zip(entries) {
            *entry = if size > 0 && size <= rest {
                let value = extend(low >> (rest - size), size);
                (length + size) | run << 8 | (value as u16 as u32) << 16
            } else {
                length | run << 8 | size << 12
            };
        }
    }

    /// The next symbol and its value. A code that does not exist is symbol 0, as libjpeg takes it.
    #[inline(always)]
    pub(crate) fn coded(&self, bits: &mut Bits<'_>) -> Coded {
        bits.refill();
        let entry = self.look[bits.peek(LOOK) as usize];
        let value = entry as i32 >> 16;
        if value != 0 {
            bits.skip(entry & 0xff);
            return Coded { run: (entry >> 8 & 15) as usize, size: 1, value };
        }
        let (run, size) = if entry != 0 {
            bits.skip(entry & 0xff);
            ((entry >> 8 & 15) as usize, entry >> 12 & 15)
        } else {
            let (symbol, length) = self.long(bits.peek(16));
            bits.skip(length);
            (usize::from(symbol >> 4), u32::from(symbol & 15))
        };
        Coded { run, size, value: if size == 0 { 0 } else { bits.value(size) } }
    }

    /// The next symbol alone: its run and its size.
    #[inline(always)]
    pub(crate) fn symbol(&self, bits: &mut Bits<'_>) -> (usize, u32) {
        bits.refill();
        let (symbol, length) = self.find(bits.peek(16), 1);
        bits.skip(length);
        (usize::from(symbol >> 4), u32::from(symbol & 15))
    }

    #[cold]
    #[inline(never)]
    fn long(&self, seen: u32) -> (u8, u32) {
        self.find(seen, LOOK as usize + 1)
    }

    /// The symbol whose code starts the 16 bits `seen`, known to have at least `shortest` bits, and its length.
    #[inline(always)]
    fn find(&self, seen: u32, shortest: usize) -> (u8, u32) {
        for length in shortest..=16 {
            let code = (seen >> (16 - length)) as i32;
            if code <= self.last[length] {
                return (self.symbols[(code + self.place[length]) as usize & 0xff], length as u32);
            }
        }
        (0, 17)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes 0, 10, 110 and 1111 1111 1110: symbols 0x02, 0x21, 0xf0 and 0x05.
    fn table() -> Box<Table> {
        let mut counts = [0; 16];
        (counts[0], counts[1], counts[2], counts[11]) = (1, 1, 1, 1);
        Table::new(&Code { counts, symbols: vec![0x02, 0x21, 0xf0, 0x05] }).unwrap()
    }

    #[test]
    fn symbols_come_with_their_values() {
        // 0 11, 10 0, 110, then 1110 0000 0000 and 10101.
        let data = [0b0111_0011, 0b0111_0000, 0b0000_0101, 0b0100_0000, 0, 0, 0, 0];
        let mut bits = Bits::new(&data, 0);
        let read: Vec<_> = (0..4).map(|_| table().coded(&mut bits)).map(|c| (c.run, c.size > 0, c.value)).collect();
        assert_eq!(read, [(0, true, 3), (2, true, -1), (15, false, 0), (0, true, 21)]);
        let mut bits = Bits::new(&data, 0);
        assert_eq!(table().symbol(&mut bits), (0, 2));
    }

    #[test]
    fn a_code_that_does_not_exist_is_symbol_0() {
        let mut bits = Bits::new(&[0xfe; 8], 0);
        assert_eq!(table().symbol(&mut bits), (0, 0));
        assert_eq!(table().coded(&mut bits).value, 0);
    }

    #[test]
    fn lengths_that_are_no_prefix_code_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Table::new(&Code { counts, symbols: vec![1, 2, 3] }).is_none());
        assert!(Table::new(&Code { counts, symbols: vec![1, 2] }).is_none());
        assert!(Table::new(&Code { counts: [0; 16], symbols: vec![0; 257] }).is_none());
    }
}
