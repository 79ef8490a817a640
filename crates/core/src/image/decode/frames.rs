//! Frames of animations and pages of documents.

use crate::{
    Error, ErrorKind, Result,
    image::{Format, Limits},
};

/// A frame that the file does not have.
pub(super) fn missing(format: Format, frame: u32, count: usize) -> Error {
    let has = match count {
        0 => format!("this {format} has no picture"),
        1 => format!("this {format} has one picture, frame 0"),
        n => format!("this {format} has {n} frames, 0 to {}", n - 1),
    };
    let hint = if count < 2 { "leave --frame away" } else { "choose another --frame" };
    Error::new(ErrorKind::Decode, format!("{has}, and frame {frame} is asked for"))
        .hint(format!("{hint}; --on-error ignore makes such rows null and goes on"))
}

/// How much may be decoded on the way to a frame.
///
/// A frame lies over those before it, so all of them are decoded. Without a bound, a small file could keep us busy for hours.
pub(super) struct Work {
    left: u64,
    most: u64,
}

impl Work {
    /// As many pixels together as this many of the largest images.
    const IMAGES: u64 = 16;

    pub(super) fn new(limits: &Limits) -> Self {
        let most = limits.max_pixels.saturating_mul(Self::IMAGES);
        Self { left: most, most }
    }

    /// Called before a frame of `width` x `height` is decoded.
    pub(super) fn spend(&mut self, width: u32, height: u32) -> Result<()> {
        let Some(left) = self.left.checked_sub(u64::from(width) * u64::from(height)) else {
            let what = format!("the frames up to the one asked for have more than {} pixels together", self.most);
            return Err(Error::new(ErrorKind::Limit, what).hint(format!(
                "choose an earlier --frame, or raise --max-pixels (in Rust, `image::Limits`): {} times that is the bound",
                Self::IMAGES
            )));
        };
        self.left = left;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_frame_says_how_many_there_are() {
        for (count, words) in [(0, "no picture"), (1, "one picture, frame 0"), (3, "3 frames, 0 to 2")] {
            let error = missing(Format::Gif, 7, count);
            assert!(error.message().contains(words) && error.message().contains("frame 7"), "{error}");
        }
    }

    #[test]
    fn work_is_bounded_by_the_pixels_of_all_frames() {
        let mut work = Work::new(&Limits { max_pixels: 100, ..Limits::default() });
        (0..16).for_each(|_| work.spend(10, 10).unwrap());
        assert_eq!(work.spend(1, 1).unwrap_err().kind(), ErrorKind::Limit);
    }
}
