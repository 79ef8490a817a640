//! Memory in whole cache lines and huge pages, and a slice that several tasks write different parts of.

use std::{cell::Cell, marker::PhantomData, ops::Range};

use half::bf16;

/// Words that begin on a cache line. A word is an f32, two bf16 or four bytes; which one, its user knows.
#[derive(Default)]
pub(crate) struct Words {
    memory: Vec<f32>,
    start: usize,
    length: usize,
}

/// Words of a cache line.
const LINE: usize = 16;
/// Words of a huge page.
const HUGE: usize = 1 << 19;

impl Words {
    /// So many words of zero bits. The system makes pages when they are first written, by whichever thread does, and huge ones
    /// where it can: a fault for each 4 KB takes as long as packing what it holds.
    pub(crate) fn zeroed(words: usize) -> Self {
        let unit = if words < HUGE { LINE } else { HUGE };
        let length = words.next_multiple_of(LINE);
        let mut memory = vec![0.0_f32; length + unit];
        let start = memory.as_ptr().align_offset(unit * size_of::<f32>()).min(unit);
        if unit == HUGE {
            wish_for_huge_pages(&mut memory[start..start + length]);
        }
        Self { memory, start, length }
    }

    /// At least so many words from now on; what they hold is not said.
    pub(crate) fn reserve(&mut self, words: usize) {
        if self.length < words {
            *self = Self::zeroed(words);
        }
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        &self.memory[self.start..][..self.length]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..][..self.length]
    }
}

/// Has no effect where the system makes none, or where memory is in use already.
#[cfg(target_os = "linux")]
fn wish_for_huge_pages(words: &mut [f32]) {
    const HUGE_PAGE: std::ffi::c_int = 14;
    // The standard library links what has it.
    unsafe extern "C" {
        fn madvise(start: *mut std::ffi::c_void, bytes: usize, advice: std::ffi::c_int) -> std::ffi::c_int;
    }
    // SAFETY: the memory is ours, and begins with a page, as the call wants it. The advice changes nothing that is in it.
    unsafe { madvise(words.as_mut_ptr().cast(), size_of_val(words), HUGE_PAGE) };
}

#[cfg(not(target_os = "linux"))]
fn wish_for_huge_pages(_: &mut [f32]) {}

/// The halves of words.
pub(crate) fn halves_mut(words: &mut [f32]) -> &mut [bf16] {
    // SAFETY: every bit pattern is a bf16 and an f32, the alignment is smaller, and the length is that of the same bytes.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * 2) }
}

/// The bytes of words.
pub(crate) fn bytes_mut(words: &mut [f32]) -> &mut [u8] {
    // SAFETY: every bit pattern is four u8 and an f32, the alignment is smaller, and the length is that of the same bytes.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * 4) }
}

/// Memory that a thread keeps between calls, as kernels are called hundreds of times with the same sizes.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Staged rows.
    pub(crate) block: Words,
    /// Whatever else is in words.
    pub(crate) words: Words,
    /// Sums that are not complete.
    pub(crate) sums: Words,
}

thread_local! {
    static SCRATCH: Cell<Scratch> = Cell::default();
}

impl Scratch {
    /// This thread's, until it is [given back](Self::give_back). It is no closure that is lent it, as a closure that the standard
    /// library calls is compiled without the instructions of the function it stands in.
    pub(crate) fn take() -> Self {
        SCRATCH.take()
    }

    /// For the thread's next kernel.
    pub(crate) fn give_back(self) {
        SCRATCH.set(self);
    }
}

/// A slice of which every task writes its own part.
pub(crate) struct Shared<'a, T = f32> {
    start: *mut T,
    length: usize,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: it only hands out parts, and whoever asks for one promises that nobody else has it.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), borrowed: PhantomData }
    }

    /// Where a value stands, for a hint; nothing may be read there.
    #[inline(always)]
    pub(crate) fn address(&self, at: usize) -> *const T {
        self.start.wrapping_add(at).cast_const()
    }

    /// The part at `range`.
    ///
    /// # Safety
    /// No other part that overlaps it is alive.
    #[allow(clippy::mut_from_ref)]
    #[inline(always)]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.length);
        // SAFETY: within the slice as just checked, and not shared as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_on_a_line_and_are_zero() {
        for count in [0, 1, 17, 5000, HUGE - 1, HUGE, HUGE + 1, 3 * HUGE + 5] {
            let mut words = Words::zeroed(count);
            assert!(words.as_slice().len() >= count);
            assert!(words.as_slice().as_ptr().addr().is_multiple_of(64));
            assert!(words.as_slice().iter().all(|x| x.to_bits() == 0));
            words.as_mut_slice().fill(1.0);
            words.reserve(count);
            assert!(words.as_slice().iter().all(|x| *x == 1.0));
        }
    }
}
