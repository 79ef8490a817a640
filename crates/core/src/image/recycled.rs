//! Memory that goes from one decoded image to the next of its thread.
//!
//! A photo of 12 million pixels takes 36 MB, which an allocator gets from the system and gives back each time: the system clears
//! them, page by page, for a decoder that writes to every byte anyway.

use std::cell::Cell;

use super::{Image, Samples};

/// More than this is given back.
const MOST_BYTES: usize = 64 << 20;

thread_local! {
    static LAST: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// `length` bytes that are to be overwritten: zeros, or samples of an image that was recycled.
pub(super) fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = LAST.take();
    if bytes.capacity() < length {
        drop(bytes);
        return vec![0; length];
    }
    bytes.resize(length, 0);
    bytes
}

/// Gives back what this thread keeps.
pub(super) fn forget() {
    drop(LAST.take());
}

impl Image {
    /// Leaves the image's memory to the next image that this thread decodes. For loops that decode, use and forget.
    pub fn recycle(self) {
        if let Samples::U8(bytes) = self.samples
            && bytes.capacity() <= MOST_BYTES
        {
            LAST.set(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Mode;

    fn image(samples: Vec<u8>) -> Image {
        Image::new(Mode::L, samples.len() as u32, 1, Samples::U8(samples)).unwrap()
    }

    #[test]
    fn memory_is_used_again_once_and_only_where_it_is_enough() {
        let samples = vec![7; 1000];
        let place = samples.as_ptr();
        image(samples).recycle();
        let again = bytes(900);
        assert_eq!((again.as_ptr(), again.len()), (place, 900));
        assert_eq!(bytes(900), [0; 900]);
        image(again).recycle();
        assert_eq!(bytes(1_000_000), vec![0; 1_000_000]);
        assert_eq!(bytes(10), [0; 10], "what was too small is gone");
    }

    #[test]
    fn what_is_forgotten_and_what_is_huge_is_given_back() {
        image(vec![7; 1000]).recycle();
        forget();
        assert_eq!(LAST.take().capacity(), 0);
        let mut samples = Vec::with_capacity(MOST_BYTES + 1);
        samples.push(7);
        image(samples).recycle();
        assert_eq!(LAST.take().capacity(), 0);
    }
}
