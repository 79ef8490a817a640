//! Where an array's numbers are.
//!
//! Weights are read once, and packed as kernels want them. What was read of a file is let go then, so that a model is not in memory twice.

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

impl Drop for Mapped {
    /// Takes the file's pages out of this process's memory. They stay in the system's cache, and come back when they are read again.
    fn drop(&mut self) {
        #[cfg(target_os = "linux")]
        {
            let (start, length) = (self.range.start, self.range.len());
            // SAFETY: the map is shared and never written to, so that its pages hold the file's bytes again when they are next read.
            // It is advice: nothing depends on whether it is taken.
            let _ = unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, length) };
        }
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
            Self::Mapped(Mapped { ref map, ref range }) => {
                let middle = range.start + count * size_of::<f32>();
                let part = |range| Self::Mapped(Mapped { map: Arc::clone(map), range });
                (part(range.start..middle), part(middle..range.end))
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

    /// Kilobytes of the mapped file that are in this process's memory.
    #[cfg(target_os = "linux")]
    fn resident(path: &std::path::Path) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let of_file = maps.split_once(path.to_str().unwrap()).unwrap().1;
        let line = of_file.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_was_read_of_a_file_is_let_go_and_can_be_read_again() {
        const COUNT: usize = 1 << 20;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let values: Vec<f32> = (0..COUNT).map(|i| i as f32).collect();
        file.write_all(bytemuck::cast_slice(&values)).unwrap();
        // SAFETY: nobody else has the file.
        let map = Arc::new(unsafe { Mmap::map(file.as_file()) }.unwrap());
        let numbers = |range| Numbers::Mapped(Mapped::new(&map, range).unwrap());
        let whole = numbers(0..4 * COUNT);
        assert_eq!(whole.get(), values);
        assert!(resident(file.path()) >= 4000);
        drop(whole);
        assert!(resident(file.path()) < 100, "{} kB", resident(file.path()));
        assert_eq!(numbers(4 * COUNT / 2..4 * COUNT).get(), &values[COUNT / 2..]);
    }
}
