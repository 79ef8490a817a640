//! What is added to the token of each patch, for a grid of any size.

use crate::interpolate::{Resample, resample};

/// The positions of one model.
#[derive(Debug)]
pub enum Positions {
    /// Nothing is added.
    Nothing,
    /// A learnt row for each patch.
    Learnt {
        /// `[rows * columns, hidden]`.
        table: Vec<f32>,
        /// Those rows and columns.
        grid: (usize, usize),
        /// How the table of another grid is made of it.
        resample: Resample,
    },
    /// Sines and cosines of place and frequency.
    Waves,
}

impl Positions {
    /// What is added to the patches of a grid of `rows` and `columns`, `[rows * columns, hidden]`.
    pub fn at(&self, (rows, columns): (usize, usize), hidden: usize) -> Vec<f32> {
        match self {
            Self::Nothing => vec![0.0; rows * columns * hidden],
            Self::Learnt { table, grid, resample: how } => resample(table, hidden, *grid, (rows, columns), *how),
            Self::Waves => waves(rows, columns, hidden),
        }
    }
}

/// A quarter each: the sines and then the cosines of the column, then of the row, over frequencies from 1 down to
/// 1 / 10000. In f64, as the reference computes them.
fn waves(rows: usize, columns: usize, hidden: usize) -> Vec<f32> {
    let quarter = hidden / 4;
    let mut table = Vec::with_capacity(rows * columns * hidden);
    for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
        for place in [column, row] {
            let angle = |i: usize| place as f64 / 10_000_f64.powf(i as f64 / quarter as f64);
            table.extend((0..quarter).map(|i| angle(i).sin() as f32));
            table.extend((0..quarter).map(|i| angle(i).cos() as f32));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_tell_columns_before_rows() {
        let table = waves(2, 3, 8);
        assert_eq!(table.len(), 2 * 3 * 8);
        assert_eq!(table[..8], [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
        let (last, one, two) = (&table[5 * 8..], 1_f64, 2_f64);
        assert_eq!(last[..2], [two.sin() as f32, (two / 100.0).sin() as f32]);
        assert_eq!(last[4..6], [one.sin() as f32, (one / 100.0).sin() as f32]);
    }

    #[test]
    fn the_grid_that_was_learnt_comes_back_as_it_is() {
        let table: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let learnt = Positions::Learnt { table: table.clone(), grid: (2, 3), resample: Resample::Bicubic };
        assert_eq!(learnt.at((2, 3), 2), table);
        assert_eq!(learnt.at((4, 5), 2).len(), 40);
    }
}
