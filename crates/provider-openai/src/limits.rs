//! What one request may hold, and which images go into which request.

use std::ops::Range;

/// A mebibyte.
pub(crate) const MIB: u64 = 1 << 20;

/// Bounds on one request and on one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Images of a request.
    pub(crate) rows: usize,
    /// Bytes of a request: the images in base64.
    pub(crate) request_bytes: u64,
    /// Pixels of all images of a request; services that count tokens count them by pixels.
    pub(crate) request_pixels: u64,
    /// Bytes of one encoded image.
    pub(crate) image_bytes: u64,
    /// Pixels of one image.
    pub(crate) image_pixels: u64,
}

impl Limits {
    /// No bound.
    pub(crate) const NONE: Self = Self {
        rows: usize::MAX,
        request_bytes: u64::MAX,
        request_pixels: u64::MAX,
        image_bytes: u64::MAX,
        image_pixels: u64::MAX,
    };

    /// For servers that a user runs: large enough for any photo, small enough to be held in memory many times.
    pub(crate) const OWN_SERVER: Self = Self { request_bytes: 64 * MIB, ..Self::NONE };
}

/// What one image adds to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Bytes of the encoded image.
    pub(crate) bytes: u64,
    /// Width times height.
    pub(crate) pixels: u64,
}

impl Weight {
    /// Bytes in the request: base64 makes four of three, and the text around it is short.
    fn sent(self) -> u64 {
        self.bytes.div_ceil(3) * 4 + 128
    }
}

/// Puts consecutive images into as few requests as `limits` allow, in order. An image that is over a limit by itself goes
/// alone: what the service says to it is that image's error.
pub(crate) fn pack(images: &[Weight], limits: &Limits) -> Vec<Range<usize>> {
    let mut packs = Vec::new();
    let (mut start, mut bytes, mut pixels) = (0, 0u64, 0u64);
    for (i, image) in images.iter().enumerate() {
        let full = i - start >= limits.rows.max(1)
            || bytes + image.sent() > limits.request_bytes
            || pixels + image.pixels > limits.request_pixels;
        if full && i > start {
            packs.push(start..i);
            (start, bytes, pixels) = (i, 0, 0);
        }
        bytes += image.sent();
        pixels += image.pixels;
    }
    if start < images.len() {
        packs.push(start..images.len());
    }
    packs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(sizes: &[(u64, u64)]) -> Vec<Weight> {
        sizes.iter().map(|&(bytes, pixels)| Weight { bytes, pixels }).collect()
    }

    #[test]
    fn rows_bytes_and_pixels_each_end_a_request() {
        let images = weights(&[(300, 10); 7]);
        let rows = Limits { rows: 3, ..Limits::NONE };
        assert_eq!(pack(&images, &rows), [0..3, 3..6, 6..7]);
        // Each image is 400 bytes in base64 and 128 around it.
        let bytes = Limits { request_bytes: 1056, ..Limits::NONE };
        assert_eq!(pack(&images, &bytes), [0..2, 2..4, 4..6, 6..7]);
        let pixels = Limits { request_pixels: 49, ..Limits::NONE };
        assert_eq!(pack(&images, &pixels), [0..4, 4..7]);
    }

    #[test]
    fn an_image_that_is_too_large_goes_alone() {
        let images = weights(&[(1, 1), (1, 100), (1, 1)]);
        assert_eq!(pack(&images, &Limits { request_pixels: 10, ..Limits::NONE }), [0..1, 1..2, 2..3]);
        assert!(pack(&[], &Limits::NONE).is_empty());
    }

    proptest! {
        #[test]
        fn every_image_is_in_exactly_one_request_within_the_limits(
            sizes in prop::collection::vec((1u64..2000, 1u64..2000), 0..60),
            rows in 1usize..9,
            request_bytes in 1u64..9000,
            request_pixels in 1u64..9000,
        ) {
            let images = weights(&sizes);
            let limits = Limits { rows, request_bytes, request_pixels, ..Limits::NONE };
            let packs = pack(&images, &limits);
            let all: Vec<usize> = packs.iter().cloned().flatten().collect();
            prop_assert_eq!(all, (0..images.len()).collect::<Vec<_>>());
            for pack in packs {
                let held = &images[pack];
                prop_assert!(held.len() <= rows);
                if held.len() > 1 {
                    prop_assert!(held.iter().map(|w| w.sent()).sum::<u64>() <= request_bytes);
                    prop_assert!(held.iter().map(|w| w.pixels).sum::<u64>() <= request_pixels);
                }
            }
        }
    }
}
