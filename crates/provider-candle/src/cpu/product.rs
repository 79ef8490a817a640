//! The matrix product, arranged so that a row of the result has the same bits whatever rows stand beside it.
//!
//! The product itself is the crate `gemm`, which candle uses too. Its results depend on the number of rows in two ways:
//! a single row goes to another kernel, and the depth is cut into pieces whose length depends on the other two sizes
//! once it exceeds 512. So a single row is computed as one of two, and the depth is cut here, into pieces that it never
//! cuts again. Within a piece each number is one chain of fused multiply-adds in order of depth, in all its kernels.

use gemm::Parallelism;

/// The depth that `gemm` takes in one piece for every number of rows and columns.
const MAX_DEPTH: usize = 512;

/// A matrix in a slice: element `(row, column)` is at `row * row_stride + column * column_stride`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `rows` x `columns` numbers whose rows start `stride` apart, the numbers of a row side by side.
    pub(super) fn new(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(holds(data.len(), rows, columns, stride), "a matrix beyond its slice");
        Self { data, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// The same numbers with rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        let Self { data, rows, columns, row_stride, column_stride } = self;
        Self { data, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }
}

/// Whether a slice of `len` holds `rows` rows of `columns` numbers that start `stride` apart and do not overlap.
fn holds(len: usize, rows: usize, columns: usize, stride: usize) -> bool {
    rows == 0 || (columns <= stride && (rows - 1) * stride + columns <= len)
}

/// What becomes of the numbers that the output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// They are overwritten.
    Write,
    /// The product is added to them.
    Add,
}

/// Which threads compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Threads {
    /// The calling one.
    One,
    /// Those of the current `rayon` pool.
    Pool,
}

/// `a @ b` into `out`, whose rows start `stride` apart.
pub(super) fn multiply(a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32], stride: usize, output: Output, threads: Threads) {
    assert_eq!(a.columns, b.rows, "matrices that cannot be multiplied");
    assert!(holds(out.len(), a.rows, b.columns, stride), "a product beyond its slice");
    if b.columns == 1 {
        return multiply_column(a, b, out, stride, output);
    }
    if a.rows == 1 {
        return multiply_row(a, b, out, output, threads);
    }
    let pieces = a.columns.div_ceil(MAX_DEPTH);
    let depth = a.columns.div_ceil(pieces.max(1));
    for start in (0..a.columns).step_by(depth.max(1)) {
        let depth = depth.min(a.columns - start);
        let parallelism = match threads {
            Threads::One => Parallelism::None,
            Threads::Pool => Parallelism::Rayon(0),
        };
        // SAFETY: `Matrix::new` and the assertions above hold every index that the shapes and strides reach within its
        // slice, for the whole depth and so for each piece of it; `out` is borrowed mutably and its rows do not overlap.
        unsafe {
            gemm::gemm(
                a.rows,
                b.columns,
                depth,
                out.as_mut_ptr(),
                1,
                stride as isize,
                output == Output::Add || start > 0,
                a.data.as_ptr().add(start * a.column_stride),
                a.column_stride as isize,
                a.row_stride as isize,
                b.data.as_ptr().add(start * b.row_stride),
                b.column_stride as isize,
                b.row_stride as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

/// A single row, computed as the first of two.
fn multiply_row(a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32], output: Output, threads: Threads) {
    let depth = a.columns;
    let mut pair = vec![0.0; 2 * depth];
    for (k, value) in pair.iter_mut().take(depth).enumerate() {
        *value = a.data[k * a.column_stride];
    }
    let out = &mut out[..b.columns];
    let mut products = vec![0.0; 2 * b.columns];
    products[..b.columns].copy_from_slice(out);
    multiply(Matrix::new(&pair, 2, depth, depth), b, &mut products, b.columns, output, threads);
    out.copy_from_slice(&products[..b.columns]);
}

/// A single column: no model has a product so narrow for speed to matter.
fn multiply_column(a: Matrix<'_>, b: Matrix<'_>, out: &mut [f32], stride: usize, output: Output) {
    for row in 0..a.rows {
        let term = |k: usize| a.data[row * a.row_stride + k * a.column_stride] * b.data[k * b.row_stride];
        let sum: f32 = (0..a.columns).map(term).sum();
        let out = &mut out[row * stride];
        *out = if output == Output::Add { *out + sum } else { sum };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 16_777_216.0 - 0.5
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn agrees_with_the_definition_in_every_layout() {
        for (m, k, n) in [(1, 3, 5), (2, 64, 48), (7, 700, 9), (50, 768, 33), (3, 20, 1), (1, 1025, 1)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let mut out = numbers(m * (n + 3), 3);
            let before = out.clone();
            let transposed: Vec<f32> = (0..n * k).map(|i| b[(i % k) * n + i / k]).collect();
            let rhs = Matrix::new(&transposed, n, k, k).transposed();
            multiply(Matrix::new(&a, m, k, k), rhs, &mut out, n + 3, Output::Add, Threads::One);
            let mut plain = vec![f32::NAN; m * n];
            multiply(Matrix::new(&a, m, k, k), Matrix::new(&b, k, n, n), &mut plain, n, Output::Write, Threads::Pool);
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let exact: f64 = (0..k).map(|d| a[i * k + d] as f64 * b[d * n + j] as f64).sum();
                let added = out[i * (n + 3) + j] as f64 - before[i * (n + 3) + j] as f64;
                assert!((plain[i * n + j] as f64 - exact).abs() < 1e-5, "({m}, {k}, {n}) at ({i}, {j})");
                assert!((added - exact).abs() < 1e-5, "({m}, {k}, {n}) at ({i}, {j}), added");
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_among_any_number_of_others() {
        for (k, n) in [(33, 48), (64, 64), (768, 48), (768, 600), (1300, 20), (3072, 130)] {
            let b = numbers(k * n, 7);
            let rhs = Matrix::new(&b, k, n, n);
            let rows = 140;
            let a = numbers(rows * k, 9);
            let run = |from: usize, count: usize, threads: Threads, output: Output| {
                let mut out = vec![0.25; count * n];
                multiply(Matrix::new(&a[from * k..], count, k, k), rhs, &mut out, n, output, threads);
                out
            };
            for output in [Output::Write, Output::Add] {
                let all = run(0, rows, Threads::Pool, output);
                for (from, count) in [(0, 1), (139, 1), (5, 2), (17, 3), (0, 64), (1, 65), (40, 100), (0, 140)] {
                    let some = run(from, count, Threads::One, output);
                    let same = some.iter().zip(&all[from * n..]).all(|(x, y)| x.to_bits() == y.to_bits());
                    assert!(same, "depth {k}, {n} columns, {count} rows from {from}");
                }
            }
        }
    }
}
