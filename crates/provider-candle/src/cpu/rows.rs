//! Reductions over one row, written so that the compiler vectorises them in one fixed order.

/// Partial results kept side by side: two vectors of the widest registers, to hide the latency of an addition.
const LANES: usize = 32;

/// The sum of `term` over `row`.
#[inline(always)]
pub(super) fn sum(row: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += term(*x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += term(*x);
    }
    lanes.iter().sum()
}

/// The largest number of `row`.
#[inline(always)]
pub(super) fn max(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = larger(*lane, *x);
    }
    lanes.iter().copied().fold(f32::NEG_INFINITY, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_every_length_are_read_to_their_end() {
        for n in [0_u16, 1, 31, 32, 33, 100] {
            let row: Vec<f32> = (0..n).map(f32::from).collect();
            assert_eq!(sum(&row, |x| x), f32::from(n) * (f32::from(n) - 1.0) / 2.0);
            assert_eq!(max(&row), row.last().copied().unwrap_or(f32::NEG_INFINITY));
        }
    }
}
