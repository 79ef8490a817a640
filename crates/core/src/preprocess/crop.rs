//! What a centre crop shows of an axis.

/// One axis of the output: `before` samples of padding, then `kept` samples of the resized image from `first` on, then
/// padding up to `length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) first: u32,
    pub(super) before: u32,
    pub(super) kept: u32,
    length: u32,
}

impl Shown {
    /// Every sample of an axis of `length`.
    pub(super) fn whole(length: u32) -> Self {
        Self { first: 0, before: 0, kept: length, length }
    }

    /// The `wanted` samples in the middle, padded where there are not so many.
    ///
    /// An odd difference leaves the smaller half before a crop and the larger half before a padded image, as the reference.
    pub(super) fn center(self, wanted: u32) -> Self {
        let difference = i64::from(self.length) - i64::from(wanted);
        // Where the output begins, counted on this axis. Shifting rounds towards minus infinity, on both sides of zero.
        let start = difference >> 1;
        let (old_start, old_end) = (i64::from(self.before), i64::from(self.before) + i64::from(self.kept));
        let kept_start = start.max(old_start);
        let kept_end = (start + i64::from(wanted)).min(old_end).max(kept_start);
        // All of these lie within the axis or within `wanted`.
        Self {
            first: self.first + (kept_start - old_start) as u32,
            before: (kept_start - start) as u32,
            kept: (kept_end - kept_start) as u32,
            length: wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(length: u32, crops: &[u32]) -> (u32, u32, u32) {
        let Shown { first, before, kept, .. } = crops.iter().fold(Shown::whole(length), |s, crop| s.center(*crop));
        (first, before, kept)
    }

    #[test]
    fn a_crop_leaves_the_smaller_half_before_it_and_padding_the_larger() {
        assert_eq!(shown(10, &[10]), (0, 0, 10));
        assert_eq!(shown(10, &[5]), (2, 0, 5));
        assert_eq!(shown(5, &[10]), (0, 3, 5));
        assert_eq!(shown(4, &[6]), (0, 1, 4));
    }

    #[test]
    fn a_second_crop_cuts_what_the_first_shows() {
        assert_eq!(shown(10, &[8, 4]), (3, 0, 4));
        assert_eq!(shown(10, &[4, 8]), (3, 2, 4));
        // The padding of the first is part of what the second cuts: here nothing else is left.
        assert_eq!(shown(1, &[4, 1]).2, 0);
    }
}
