//! Where rows come from.

use std::ops::Range;

use half::bf16;

/// Rows of numbers.
pub(crate) trait Source: Sync {
    /// How many.
    fn rows(&self) -> usize;

    /// Values of a row as f32, in `buffer`, which has room for them, or where they stand already.
    fn read<'a>(&'a self, row: usize, values: Range<usize>, buffer: &'a mut [f32]) -> &'a [f32];

    /// Values of a row, where they are bf16.
    fn halves(&self, _row: usize, _values: Range<usize>) -> Option<&[bf16]> {
        None
    }

    /// The row that a row's result belongs to.
    fn target(&self, row: usize) -> usize {
        row
    }

    /// Whether all values are whole numbers from 0 to 255.
    fn is_bytes(&self) -> bool {
        false
    }
}

/// Rows one after the other.
pub(crate) struct Rows<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) width: usize,
}

impl Source for Rows<'_, f32> {
    fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    fn read<'a>(&'a self, row: usize, values: Range<usize>, _: &'a mut [f32]) -> &'a [f32] {
        &self.values[row * self.width..][values]
    }
}

impl Source for Rows<'_, bf16> {
    fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    fn read<'a>(&'a self, row: usize, values: Range<usize>, buffer: &'a mut [f32]) -> &'a [f32] {
        let values = &self.values[row * self.width..][values];
        let buffer = &mut buffer[..values.len()];
        for (to, from) in buffer.iter_mut().zip(values) {
            *to = f32::from_bits(u32::from(from.to_bits()) << 16);
        }
        buffer
    }

    fn halves(&self, row: usize, values: Range<usize>) -> Option<&[bf16]> {
        Some(&self.values[row * self.width..][values])
    }
}
