//! Rotary positions in two dimensions, as `DINOv3` has them: queries and keys of a patch are turned, pair by pair of
//! numbers, by angles that its row and column give.

/// The turns of all patches of one grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// `[patches, half]`.
    pub cos: Vec<f32>,
    /// `[patches, half]`.
    pub sin: Vec<f32>,
    /// Half the numbers of an attention head: number `i` is turned together with number `i + half`.
    pub half: usize,
    /// Tokens before the patches, which are not turned.
    pub prefix: usize,
}

impl Rotary {
    /// For a grid of so many rows and columns and heads of `size` numbers, a multiple of four.
    ///
    /// The first quarter of a head's numbers turns with the row and the second with the column, the centres of the
    /// patches running from -1 to 1 along each side whatever its length.
    pub fn new((rows, columns): (usize, usize), size: usize, theta: f64, prefix: usize) -> Self {
        let quarter = size / 4;
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            for (place, places) in [(row, rows), (column, columns)] {
                let center = 2.0 * (place as f64 + 0.5) / places as f64 - 1.0;
                for i in 0..quarter {
                    let angle = std::f64::consts::TAU * center / theta.powf(i as f64 / quarter as f64);
                    cos.push(angle.cos() as f32);
                    sin.push(angle.sin() as f32);
                }
            }
        }
        Self { cos, sin, half: 2 * quarter, prefix }
    }

    /// Turns `head`, the numbers of one attention head, of token `token`.
    #[inline]
    pub fn turn(&self, token: usize, head: &mut [f32]) {
        let Some(patch) = token.checked_sub(self.prefix) else { return };
        let angles = patch * self.half..(patch + 1) * self.half;
        let (first, second) = head.split_at_mut(self.half);
        let turns = self.cos[angles.clone()].iter().zip(&self.sin[angles]);
        for ((a, b), (cos, sin)) in first.iter_mut().zip(second).zip(turns) {
            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_keeps_lengths_and_leaves_the_tokens_before_the_patches() {
        let rotary = Rotary::new((3, 2), 8, 100.0, 1);
        let head = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0_f32];
        for token in 0..7 {
            let mut turned = head;
            rotary.turn(token, &mut turned);
            assert_eq!(turned == head, token == 0, "token {token}");
            let length = |h: &[f32]| h.iter().map(|x| x * x).sum::<f32>();
            assert!((length(&turned) - length(&head)).abs() < 1e-4);
        }
    }

    #[test]
    fn a_patch_in_the_middle_of_a_side_is_not_turned_along_it() {
        let rotary = Rotary::new((3, 1), 4, 100.0, 0);
        assert_eq!((rotary.cos[2], rotary.sin[2], rotary.cos[3]), (1.0, 0.0, 1.0));
        // The first of three rows: its centre is at -2/3 of the side, and the angle that times a whole turn.
        assert!((rotary.cos[0] - (-std::f32::consts::TAU * 2.0 / 3.0).cos()).abs() < 1e-6);
    }
}
