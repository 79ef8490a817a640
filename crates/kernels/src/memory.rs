//! Memory in whole cache lines, and a slice that several tasks write different parts of.

use std::{cell::Cell, marker::PhantomData, ops::Range};

use half::bf16;

/// A cache line of words.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Words that begin on a cache line. A word is an f32, two bf16 or four bytes; which one, its user knows.
#[derive(Default)]
pub(crate) struct Words(Vec<Line>);

impl Words {
    /// So many words of zero bits.
    pub(crate) fn zeroed(words: usize) -> Self {
        let lines = Box::new_zeroed_slice(words.div_ceil(16));
        // SAFETY: zero bits are an f32. Asked for zeros, the system makes pages when they are first written, by whichever thread.
        Self(unsafe { lines.assume_init() }.into_vec())
    }

    /// At least so many words from now on; what they hold is not said.
    pub(crate) fn reserve(&mut self, words: usize) {
        if self.0.len() * 16 < words {
            *self = Self::zeroed(words);
        }
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        // SAFETY: a `Line` is 16 f32 without padding, and the slice borrows the vector.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 16) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        let words = self.0.len() * 16;
        // SAFETY: a `Line` is 16 f32 without padding, and the slice borrows the vector.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), words) }
    }
}

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
    pub(crate) fn address(&self, at: usize) -> *const f32 {
        self.start.wrapping_add(at).cast_const().cast()
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
