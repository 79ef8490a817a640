//! Blocks of baseline and extended sequential scans (T.81, F.2.2).

use super::{bits::Bits, frame::COEFFICIENTS, huffman::Table, zigzag::place};

/// Reads one block into `block`, which is all zeros before. `prediction` is the component's last DC coefficient. False if
/// the DC coefficient is the only one.
#[inline(always)]
pub(crate) fn block(
    bits: &mut Bits<'_>,
    dc: &Table,
    ac: &Table,
    prediction: &mut i32,
    block: &mut [i16; COEFFICIENTS],
) -> bool {
    let mut own = *bits;
    *prediction = prediction.wrapping_add(dc.coded(&mut own).value);
    block[0] = *prediction as i16;
    let mut number = 1;
    let mut any = false;
    while number < COEFFICIENTS {
        let coded = ac.coded(&mut own);
        if coded.size == 0 {
            if coded.run != 15 {
                break;
            }
            number += 16;
            continue;
        }
        number += coded.run;
        block[place(number)] = coded.value as i16;
        number += 1;
        any = true;
    }
    *bits = own;
    any
}
