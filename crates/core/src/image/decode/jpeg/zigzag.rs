//! The order in which a block's coefficients are coded (T.81, figure A.6).

/// The place in a block, row by row, of the coefficient with a number in zigzag order.
///
/// A damaged run can lead 15 past the last coefficient; it ends there, as in libjpeg.
#[rustfmt::skip]
pub(crate) const ZIGZAG: [u8; 80] = [
     0,  1,  8, 16,  9,  2,  3, 10,
    17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34,
    27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36,
    29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46,
    53, 60, 61, 54, 47, 55, 62, 63,
    63, 63, 63, 63, 63, 63, 63, 63,
    63, 63, 63, 63, 63, 63, 63, 63,
];

/// The place in a block of coefficient `number`, at most 79.
#[inline(always)]
pub(crate) fn place(number: usize) -> usize {
    usize::from(ZIGZAG[number] & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_runs_along_the_diagonals() {
        let mut expected = Vec::new();
        for diagonal in 0..15_usize {
            let rows = diagonal.saturating_sub(7)..=diagonal.min(7);
            let places = rows.map(|row| row * 8 + diagonal - row);
            if diagonal % 2 == 0 { expected.extend(places.rev()) } else { expected.extend(places) }
        }
        assert_eq!((0..64).map(place).collect::<Vec<_>>(), expected);
    }
}
