//! Where an array's numbers are.

use std::{ops::Range, sync::Arc};

use memmap2::Mmap;

/// Numbers in memory of their own, or in a file that is mapped.
#[derive(Debug, Clone)]
pub(crate) enum Numbers {
    Owned(Vec<f32>),
    Mapped(Mapped),
}

/// A part of a mapped file that holds f32 as this machine has them.
#[derive(Debug, Clone)]
pub(crate) struct Mapped {
    map: Arc<Mmap>,
    /// In bytes.
    range: Range<usize>,
}

impl Mapped {
    /// The numbers in `range`, in bytes, of a file; `None` where they cannot be read as they lie.
    pub(crate) fn new(map: &Arc<Mmap>, range: Range<usize>) -> Option<Self> {
        let little = cfg!(target_endian = "little");
        let fits = bytemuck::try_cast_slice::<u8, f32>(map.get(range.clone())?).is_ok();
        (little && fits).then(|| Self { map: Arc::clone(map), range })
    }
}

impl Numbers {
    pub(crate) fn get(&self) -> &[f32] {
        match self {
            Self::Owned(values) => values,
            // What `Mapped::new` has seen to succeed.
            Self::Mapped(Mapped { map, range }) => bytemuck::cast_slice(&map[range.clone()]),
        }
    }

    pub(crate) fn into_vec(self) -> Vec<f32> {
        match self {
            Self::Owned(values) => values,
            Self::Mapped(_) => self.get().to_vec(),
        }
    }

    /// The first `count` numbers, and the others.
    pub(crate) fn split_at(self, count: usize) -> (Self, Self) {
        match self {
            Self::Owned(mut values) => {
                let others = values.split_off(count);
                (Self::Owned(values), Self::Owned(others))
            }
            Self::Mapped(Mapped { map, range }) => {
                let middle = range.start + count * size_of::<f32>();
                let first = Mapped { map: Arc::clone(&map), range: range.start..middle };
                (Self::Mapped(first), Self::Mapped(Mapped { map, range: middle..range.end }))
            }
        }
    }
}

impl From<Vec<f32>> for Numbers {
    fn from(values: Vec<f32>) -> Self {
        Self::Owned(values)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn numbers_of_a_file_are_read_where_they_lie_and_those_out_of_step_are_not() {
        let mut file = tempfile::tempfile().unwrap();
        let written: Vec<u8> = [1.0_f32, -2.0, 3.5].into_iter().flat_map(f32::to_le_bytes).collect();
        file.write_all(&written).unwrap();
        // SAFETY: nobody else has the file.
        let map = Arc::new(unsafe { Mmap::map(&file) }.unwrap());
        let numbers = Numbers::Mapped(Mapped::new(&map, 0..12).unwrap());
        assert_eq!(numbers.get(), [1.0, -2.0, 3.5]);
        let (first, others) = numbers.clone().split_at(1);
        assert_eq!((first.get(), others.into_vec()), (&[1.0][..], vec![-2.0, 3.5]));
        for odd in [1..9, 0..11, 4..16] {
            assert!(Mapped::new(&map, odd.clone()).is_none(), "{odd:?}");
        }
    }
}
