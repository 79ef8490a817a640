//! One decoding under way: what was asked for, the memory that is held already, and when it must be done.

use std::{ops::Deref, time::Instant};

use super::DecodeOptions;
use crate::{
    Error, ErrorKind, Result,
    image::{Format, Mode},
};

/// Bytes of a pixel of the RGB that every image becomes.
const RGB: u64 = 3;

/// The options of a decoding, whose limits count down.
pub(crate) struct Task {
    options: DecodeOptions,
    held: u64,
    /// `None` where no clock goes so far.
    ends: Option<Instant>,
}

impl Deref for Task {
    type Target = DecodeOptions;

    fn deref(&self) -> &DecodeOptions {
        &self.options
    }
}

impl Task {
    /// Starts now.
    pub(crate) fn new(options: &DecodeOptions) -> Self {
        Self { options: *options, held: 0, ends: Instant::now().checked_add(options.limits.max_time) }
    }

    /// The same task, of which `bytes` bytes more are held while a part of it is done.
    pub(crate) fn holding(&self, bytes: u64) -> Self {
        Self { held: self.held.saturating_add(bytes), ..*self }
    }

    /// Refuses to take `bytes` bytes at a time beside what is held.
    pub(crate) fn check_memory(&self, bytes: u64) -> Result<()> {
        self.options.limits.check_memory(self.held.saturating_add(bytes))
    }

    /// Refuses a picture that is too large, or takes too much memory while it is decoded, `working` bytes a pixel and its own
    /// samples among them, or once it becomes RGB.
    pub(crate) fn check_picture(&self, width: u32, height: u32, mode: Mode, working: u64) -> Result<()> {
        let own = mode.bytes_per_pixel() as u64;
        self.options.limits.check_size(width, height, own)?;
        let converted = if mode == Mode::Rgb { own } else { own + RGB };
        let pixels = u64::from(width) * u64::from(height);
        let size = |e: Error| e.context(format_args!("an image of {width} x {height} pixels"));
        self.check_memory(pixels.saturating_mul(working.max(converted))).map_err(size)
    }

    /// Whether the time is over.
    pub(crate) fn is_late(&self) -> bool {
        self.ends.is_some_and(|ends| Instant::now() >= ends)
    }

    /// An error if the time is over.
    pub(crate) fn check_time(&self, format: Format) -> Result<()> {
        if self.is_late() { Err(self.late(format)) } else { Ok(()) }
    }

    /// The error of an image that took too long.
    pub(crate) fn late(&self, format: Format) -> Error {
        let limit = self.options.limits.max_time.as_secs_f64();
        Error::new(ErrorKind::Limit, format!("decoding the {format} took longer than the limit of {limit} seconds"))
            .hint("if the image is to be trusted, raise it with --max-seconds (in Rust, `image::Limits`)")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::image::Limits;

    fn task(limits: Limits) -> Task {
        Task::new(&DecodeOptions { limits, ..DecodeOptions::default() })
    }

    #[test]
    fn what_is_held_and_the_rgb_that_a_picture_becomes_are_counted() {
        let task = task(Limits { max_alloc: 700, ..Limits::NONE });
        assert!(task.check_picture(10, 10, Mode::Rgba, 4).is_ok());
        assert!(task.holding(1).check_picture(10, 10, Mode::Rgba, 4).is_err());
        assert!(task.holding(400).check_picture(10, 10, Mode::Rgb, 3).is_ok());
        let error = task.check_picture(10, 10, Mode::Rgb, 8).unwrap_err();
        assert!(error.message().contains("10 x 10") && error.message().contains("800"), "{error}");
        assert!(error.hint_text().unwrap().contains("--max-alloc 800"), "{error}");
    }

    #[test]
    fn time_is_over_at_its_end_and_never_without_one() {
        let late = task(Limits { max_time: Duration::ZERO, ..Limits::NONE }).check_time(Format::Gif).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Limit);
        assert!(late.hint_text().unwrap().contains("--max-seconds"), "{late}");
        assert!(!task(Limits::NONE).is_late() && !task(Limits::default()).is_late());
    }
}
