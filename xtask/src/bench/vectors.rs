//! Vectors that were written to a `.npy` file, and how alike two sets of them are.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

/// `[rows, width]`, row after row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vectors {
    pub(crate) width: usize,
    pub(crate) values: Vec<f32>,
}

impl Vectors {
    /// Reads little-endian `f32` in C order.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        Self::parse(&bytes).with_context(|| format!("{} is not a .npy file of f32 in rows", path.display()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"\x93NUMPY")?;
        let (version, rest) = rest.split_at_checked(2)?;
        let size = if version[0] == 1 { 2 } else { 4 };
        let (length, rest) = rest.split_at_checked(size)?;
        let length = length.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let (header, data) = rest.split_at_checked(length)?;
        let header = std::str::from_utf8(header).ok()?;
        let shape = header.split_once("'shape':")?.1.split_once('(')?.1.split_once(')')?.0;
        let shape: Vec<usize> = shape.split(',').filter_map(|n| n.trim().parse().ok()).collect();
        let [rows, width] = shape[..] else { return None };
        let values: Vec<f32> = data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        (header.contains("'<f4'") && header.contains("False") && values.len() == rows * width)
            .then_some(Self { width, values })
    }

    fn rows(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Each row less the mean of all.
    fn centred(&self) -> Vec<f64> {
        let rows = self.rows() as f64;
        let mut means = vec![0.0; self.width];
        for row in self.values.chunks_exact(self.width) {
            means.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x) / rows);
        }
        self.values.iter().zip(means.iter().cycle()).map(|(x, mean)| f64::from(*x) - mean).collect()
    }

    /// The smallest and the median cosine of two vectors of one image, after each set's mean is removed: seeded weights
    /// give unrelated images a cosine near 1, which would flatter.
    pub(crate) fn alike(&self, other: &Self) -> Result<(f64, f64)> {
        let same = self.width == other.width && self.values.len() == other.values.len() && !self.values.is_empty();
        ensure!(same, "{} x {} numbers and {} x {}", self.rows(), self.width, other.rows(), other.width);
        let (first, second) = (self.centred(), other.centred());
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let pairs = first.chunks_exact(self.width).zip(second.chunks_exact(self.width));
        let mut cosines: Vec<f64> = pairs.map(|(a, b)| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()).collect();
        cosines.sort_by(f64::total_cmp);
        Ok((cosines[0], cosines[cosines.len() / 2]))
    }

    /// The share of rows whose nearest other row, by cosine, has the same label.
    pub(crate) fn nearest_share<L: PartialEq>(&self, labels: &[L]) -> Option<f64> {
        if self.rows() != labels.len() || labels.len() < 2 {
            return None;
        }
        let unit: Vec<f32> = self.values.chunks_exact(self.width).flat_map(unit).collect();
        let rows: Vec<&[f32]> = unit.chunks_exact(self.width).collect();
        let right = rows.iter().enumerate().filter(|&(i, row)| {
            let near = |other: &[f32]| row.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
            let others = rows.iter().enumerate().filter(|&(j, _)| j != i).map(|(j, other)| (j, near(other)));
            others.max_by(|a, b| a.1.total_cmp(&b.1)).is_some_and(|(j, _)| labels[j] == labels[i])
        });
        Some(right.count() as f64 / rows.len() as f64)
    }
}

fn unit(row: &[f32]) -> impl Iterator<Item = f32> {
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    row.iter().map(move |x| x / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(shape: &str, values: &[f32]) -> Vec<u8> {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        bytes
    }

    #[test]
    fn a_file_of_rows_is_read() {
        let read = Vectors::parse(&npy("(2, 3)", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])).unwrap();
        assert_eq!((read.rows(), read.width, read.values[4]), (2, 3, 5.0));
        assert_eq!(Vectors::parse(&npy("(2, 3)", &[1.0])), None);
        assert_eq!(Vectors::parse(b"no numbers"), None);
    }

    #[test]
    fn what_two_sets_have_in_common_does_not_make_them_alike() {
        let set = |values: [f32; 4]| Vectors { width: 2, values: values.to_vec() };
        // Both lie far from the origin, and point apart from their middle.
        let (a, b) = (set([100.0, 101.0, 100.0, 99.0]), set([101.0, 100.0, 99.0, 100.0]));
        assert!(a.alike(&b).unwrap().1.abs() < 1e-6);
        assert!((a.alike(&a).unwrap().0 - 1.0).abs() < 1e-9);
        assert!(a.alike(&Vectors { width: 1, values: vec![1.0] }).is_err());
    }

    #[test]
    fn the_nearest_other_row_is_looked_for() {
        let rows = Vectors { width: 2, values: vec![1.0, 0.0, 2.0, 0.1, 0.0, 1.0, 0.1, 3.0] };
        assert_eq!(rows.nearest_share(&["a", "a", "b", "b"]), Some(1.0));
        assert_eq!(rows.nearest_share(&["a", "a", "b", "c"]), Some(0.5));
        assert_eq!(rows.nearest_share(&["a"]), None);
    }
}
