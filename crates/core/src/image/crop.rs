//! Cutting a rectangle out of an image.

use super::{Image, Samples};
use crate::{Error, ErrorKind, Result};

impl Image {
    /// The rectangle of `width` x `height` pixels whose left upper corner is at `(x, y)`; an error unless it lies inside.
    pub fn crop(&self, x: u32, y: u32, width: u32, height: u32) -> Result<Self> {
        let inside = |start: u32, length: u32, whole: u32| start.checked_add(length).is_some_and(|end| end <= whole);
        if !inside(x, width, self.width) || !inside(y, height, self.height) {
            return Err(Error::new(
                ErrorKind::BadInput,
                format!(
                    "a crop of {width} x {height} at ({x}, {y}) leaves the image of {} x {}",
                    self.width, self.height
                ),
            ));
        }
        let channels = self.mode.channels();
        let rect = Rect {
            stride: self.width as usize * channels,
            start: x as usize * channels,
            len: width as usize * channels,
            rows: y as usize..(y + height) as usize,
        };
        let samples = match &self.samples {
            Samples::U8(s) => Samples::U8(cut(s, &rect)),
            Samples::U16(s) => Samples::U16(cut(s, &rect)),
            Samples::F32(s) => Samples::F32(cut(s, &rect)),
        };
        Self::new(self.mode, width, height, samples)
    }
}

/// A rectangle in samples: `len` of each of `rows`, from `start`.
struct Rect {
    stride: usize,
    start: usize,
    len: usize,
    rows: std::ops::Range<usize>,
}

fn cut<T: Copy>(samples: &[T], rect: &Rect) -> Vec<T> {
    let mut out = Vec::with_capacity(rect.len * rect.rows.len());
    for row in rect.rows.clone() {
        out.extend_from_slice(&samples[row * rect.stride + rect.start..][..rect.len]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Mode;

    #[test]
    fn keeps_the_pixels_inside() {
        let image = Image::new(Mode::La, 3, 2, Samples::U8((0..12).collect())).unwrap();
        let cut = image.crop(1, 1, 2, 1).unwrap();
        assert_eq!(cut.as_u8().unwrap(), [8, 9, 10, 11]);
        assert_eq!(image.crop(0, 0, 3, 2).unwrap(), image);
    }

    #[test]
    fn a_rectangle_that_leaves_the_image_is_an_error() {
        let image = Image::new(Mode::L, 3, 2, Samples::U8(vec![0; 6])).unwrap();
        for (x, y, w, h) in [(0, 0, 4, 1), (2, 0, 2, 1), (0, 2, 1, 1), (u32::MAX, 0, 2, 1)] {
            assert_eq!(image.crop(x, y, w, h).unwrap_err().kind(), ErrorKind::BadInput);
        }
    }
}
