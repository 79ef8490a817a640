//! Resizing, bit for bit as Pillow does it for 8-bit images.
//!
//! A filter is stretched by the factor of the reduction, so that every source pixel counts (antialiasing). Columns are
//! resized first, then rows; between the two passes samples are bytes again. Models were trained on pictures made exactly
//! so, which is why the steps, and not only the filters, are Pillow's.

#![allow(clippy::inline_always, reason = "a function is compiled for the widest vectors only where it is inlined")]

mod bytes;
mod coefficients;
mod filter;
mod nearest;
mod premultiply;
#[cfg(target_arch = "x86_64")]
mod rgb;
mod wide;

use std::cell::RefCell;

use super::{Image, Limits, Samples};
use crate::{Error, ErrorKind, Result};

pub use filter::Filter;

/// A rectangle of the resized image, in its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// One resize of interleaved samples: from a size to a size, of which a window is computed.
#[derive(Debug, Clone, Copy)]
struct Job {
    channels: usize,
    from: (u32, u32),
    /// How much of `from` the picture covers: all but a part of the last column and row, where it was decoded smaller.
    covers: (f64, f64),
    to: (u32, u32),
    window: Window,
    filter: Filter,
}

impl Image {
    /// The image at `width` x `height`.
    ///
    /// 8-bit images come out as Pillow's `Image.resize`; colours under alpha are weighted by it, as there, except by
    /// [`Filter::Nearest`]. 16-bit samples are rounded once at the end, floats not at all. An error if a side is 0 or the
    /// result is over the default [`Limits`].
    pub fn resize(&self, width: u32, height: u32, filter: Filter) -> Result<Self> {
        if width == 0 || height == 0 || self.samples.is_empty() {
            return Err(Error::new(
                ErrorKind::BadInput,
                format!("an image of {} x {} cannot become {width} x {height}", self.width, self.height),
            ));
        }
        if (width, height) == (self.width, self.height) {
            return Ok(self.clone());
        }
        Limits::default().check_size(width, height, self.mode.bytes_per_pixel() as u64)?;
        let job = Job {
            channels: self.mode.channels(),
            from: (self.width, self.height),
            covers: (self.width.into(), self.height.into()),
            to: (width, height),
            window: Window { x: 0, y: 0, width, height },
            filter,
        };
        let weigh = self.mode.has_alpha() && filter != Filter::Nearest;
        let samples = match &self.samples {
            Samples::U8(source) if weigh => {
                let mut out = resize_bytes(&premultiply::weigh_bytes(source, job.channels), &job);
                premultiply::unweigh_bytes(&mut out, job.channels);
                Samples::U8(out)
            }
            Samples::U8(source) => Samples::U8(resize_bytes(source, &job)),
            Samples::U16(source) => Samples::U16(wide::resize(source, &job, weigh)),
            Samples::F32(source) => Samples::F32(wide::resize(source, &job, weigh)),
        };
        Self::new(self.mode, width, height, samples)
    }
}

/// Resizes RGB bytes, `[from height, from width, 3]`, to the size `to` (width, height) and writes only `window` of the
/// result into `out`, `[window height, window width, 3]`. The bytes are those of the whole resize. `covers` is `from`, less a
/// part of the last column and row where the picture ends within them.
///
/// # Panics
/// If a side is 0, the window leaves the result, or a slice has another length than its size says.
pub(crate) fn resize_rgb(
    source: &[u8],
    from: (u32, u32),
    covers: (f64, f64),
    to: (u32, u32),
    window: Window,
    filter: Filter,
    out: &mut [u8],
) {
    assert_eq!(source.len(), from.0 as usize * from.1 as usize * 3);
    assert_eq!(out.len(), window.width as usize * window.height as usize * 3);
    assert!(window.x + window.width <= to.0 && window.y + window.height <= to.1);
    run(source, &Job { channels: 3, from, covers, to, window, filter }, out);
}

fn resize_bytes(source: &[u8], job: &Job) -> Vec<u8> {
    let mut out = vec![0; job.window.width as usize * job.window.height as usize * job.channels];
    run(source, job, &mut out);
    out
}

fn run(source: &[u8], job: &Job, out: &mut [u8]) {
    thread_local! {
        static SCRATCH: RefCell<bytes::Scratch> = RefCell::default();
    }
    if job.filter == Filter::Nearest {
        nearest::resize(source, job, out);
    } else {
        SCRATCH.with_borrow_mut(|scratch| bytes::resize(source, job, out, scratch));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::Mode;

    fn pattern(mode: Mode, width: u32, height: u32) -> Image {
        let n = width as usize * height as usize * mode.channels();
        let samples = Samples::U8((0..n).map(|i| (i * i * 31 + i * 7) as u8).collect());
        Image::new(mode, width, height, samples).unwrap()
    }

    #[test]
    fn a_window_holds_the_bytes_of_the_whole() {
        let image = pattern(Mode::Rgb, 31, 23);
        for filter in Filter::ALL {
            for (w, h) in [(12, 9), (31, 9), (40, 50), (12, 23)] {
                let whole = image.resize(w, h, filter).unwrap();
                let window = Window { x: 3, y: 2, width: 7, height: 5 };
                let mut out = vec![0; 7 * 5 * 3];
                resize_rgb(image.as_u8().unwrap(), (31, 23), (31.0, 23.0), (w, h), window, filter, &mut out);
                assert_eq!(out, whole.crop(3, 2, 7, 5).unwrap().as_u8().unwrap(), "{filter:?} {w}x{h}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn any_window_holds_the_bytes_of_the_whole(
            from in (1..=70_u32, 1..=70_u32), to in (1..=70_u32, 1..=70_u32),
            corner in (0.0..1.0_f64, 0.0..1.0_f64), share in (0.0..1.0_f64, 0.0..1.0_f64),
            filter in prop::sample::select(Filter::ALL.to_vec()),
        ) {
            let at = |whole: u32, share: f64| (f64::from(whole) * share) as u32;
            let (x, y) = (at(to.0, corner.0), at(to.1, corner.1));
            let window = Window { x, y, width: 1 + at(to.0 - x - 1, share.0), height: 1 + at(to.1 - y - 1, share.1) };
            let image = pattern(Mode::Rgb, from.0, from.1);
            let whole = image.resize(to.0, to.1, filter).unwrap();
            let mut out = vec![0; window.width as usize * window.height as usize * 3];
            let covers = (from.0.into(), from.1.into());
            resize_rgb(image.as_u8().unwrap(), from, covers, to, window, filter, &mut out);
            let wanted = whole.crop(x, y, window.width, window.height).unwrap();
            prop_assert_eq!(&out, wanted.as_u8().unwrap());
        }
    }

    #[test]
    fn one_colour_stays_one_colour_in_every_mode() {
        for mode in Mode::ALL {
            let n = 5 * 4 * mode.channels();
            let samples = match mode.sample_type() {
                crate::image::SampleType::U8 => Samples::U8(vec![200; n]),
                crate::image::SampleType::U16 => Samples::U16(vec![51400; n]),
                crate::image::SampleType::F32 => Samples::F32(vec![0.5; n]),
            };
            let image = Image::new(mode, 5, 4, samples).unwrap();
            for filter in Filter::ALL {
                let resized = image.resize(9, 3, filter).unwrap();
                match (resized.samples(), image.samples()) {
                    // Unweighing by an alpha of 200 rounds down: 255 * (200 * 200 / 255) / 200.
                    (Samples::U8(s), _) => {
                        assert!(s.iter().all(|s| (199..=200).contains(s)), "{mode} {filter:?} {s:?}");
                    }
                    (Samples::U16(s), _) => assert!(s.iter().all(|s| *s == 51400), "{mode} {filter:?} {s:?}"),
                    (Samples::F32(s), _) => {
                        assert!(s.iter().all(|s| (s - 0.5).abs() < 1e-6), "{mode} {filter:?} {s:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn colours_under_full_transparency_do_not_bleed() {
        let image = Image::new(Mode::Rgba, 2, 1, Samples::U8(vec![255, 0, 0, 255, 0, 255, 0, 0])).unwrap();
        let one = image.resize(1, 1, Filter::Box).unwrap();
        assert_eq!(one.as_u8().unwrap(), [255, 0, 0, 128]);
    }

    #[test]
    fn a_side_of_zero_and_a_monster_are_errors() {
        let image = pattern(Mode::L, 3, 3);
        assert_eq!(image.resize(0, 3, Filter::Box).unwrap_err().kind(), ErrorKind::BadInput);
        assert_eq!(image.resize(60_000, 60_000, Filter::Box).unwrap_err().kind(), ErrorKind::Limit);
    }
}
