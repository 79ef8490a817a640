//! Which way up an image is, as EXIF says it.

use super::{Image, Samples};
use crate::Result;

/// What to do to the stored pixels to see the picture upright. The discriminant is the value of EXIF tag 0x0112.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Orientation {
    /// Stored upright.
    #[default]
    Upright = 1,
    /// Mirror left to right.
    FlipHorizontal = 2,
    /// Turn by 180 degrees.
    Rotate180 = 3,
    /// Mirror top to bottom.
    FlipVertical = 4,
    /// Swap rows and columns.
    Transpose = 5,
    /// Turn by 90 degrees clockwise.
    Rotate90 = 6,
    /// Swap rows and columns over the other diagonal.
    Transverse = 7,
    /// Turn by 90 degrees counter-clockwise.
    Rotate270 = 8,
}

impl Orientation {
    /// Every orientation, in the order of its EXIF value.
    pub const ALL: [Self; 8] = [
        Self::Upright,
        Self::FlipHorizontal,
        Self::Rotate180,
        Self::FlipVertical,
        Self::Transpose,
        Self::Rotate90,
        Self::Transverse,
        Self::Rotate270,
    ];

    /// The orientation of an EXIF value; `None` for values outside 1 to 8, which viewers ignore.
    pub fn from_exif(value: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|o| o.exif() == value)
    }

    /// The orientation that XMP metadata gives, as an attribute or an element `tiff:Orientation`.
    ///
    /// PIL looks there too where EXIF is silent.
    pub(super) fn from_xmp(xmp: &[u8]) -> Option<Self> {
        const NAME: &[u8] = b"tiff:Orientation";
        let at = xmp.windows(NAME.len()).position(|w| w == NAME)?;
        let ([b'=', b'"', digit, ..] | [b'>', digit, ..]) = xmp.get(at + NAME.len()..)? else { return None };
        Self::from_exif(u16::from(digit.wrapping_sub(b'0')))
    }

    /// The value of the EXIF tag.
    pub const fn exif(self) -> u16 {
        self as u16
    }

    /// Whether rows become columns.
    pub const fn swaps_sides(self) -> bool {
        self as u16 >= 5
    }

    /// Where the pixel of the upright image at `(x, y)` lies in the stored image of `width` x `height`, if rows become columns.
    const fn source(self, x: usize, y: usize, width: usize, height: usize) -> (usize, usize) {
        match self {
            Self::Rotate90 => (y, height - 1 - x),
            Self::Transverse => (width - 1 - y, height - 1 - x),
            Self::Rotate270 => (width - 1 - y, x),
            _ => (y, x),
        }
    }
}

impl Image {
    /// The image turned upright, in its own memory where rows stay rows. No sample changes its value.
    pub fn oriented(mut self, orientation: Orientation) -> Result<Self> {
        if orientation == Orientation::Upright || self.samples.is_empty() {
            return Ok(self);
        }
        let (channels, stored) = (self.mode.channels(), (self.width as usize, self.height as usize));
        if !orientation.swaps_sides() {
            match &mut self.samples {
                Samples::U8(s) => mirror(s, stored.0, channels, orientation),
                Samples::U16(s) => mirror(s, stored.0, channels, orientation),
                Samples::F32(s) => mirror(s, stored.0, channels, orientation),
            }
            return Ok(self);
        }
        let samples = match &self.samples {
            Samples::U8(s) => Samples::U8(turn(s, stored, channels, orientation)),
            Samples::U16(s) => Samples::U16(turn(s, stored, channels, orientation)),
            Samples::F32(s) => Samples::F32(turn(s, stored, channels, orientation)),
        };
        Self::new(self.mode, self.height, self.width, samples)
    }
}

/// Turns rows over, or their order, or both.
fn mirror<T>(samples: &mut [T], width: usize, channels: usize, orientation: Orientation) {
    match channels {
        1 => mirror_pixels::<T, 1>(samples, width, orientation),
        2 => mirror_pixels::<T, 2>(samples, width, orientation),
        3 => mirror_pixels::<T, 3>(samples, width, orientation),
        _ => mirror_pixels::<T, 4>(samples, width, orientation),
    }
}

fn mirror_pixels<T, const C: usize>(samples: &mut [T], width: usize, orientation: Orientation) {
    let (pixels, _) = samples.as_chunks_mut::<C>();
    match orientation {
        Orientation::FlipHorizontal => pixels.chunks_exact_mut(width).for_each(<[[T; C]]>::reverse),
        Orientation::FlipVertical => {
            let mut rows = pixels.chunks_exact_mut(width);
            while let (Some(upper), Some(lower)) = (rows.next(), rows.next_back()) {
                upper.swap_with_slice(lower);
            }
        }
        _ => pixels.reverse(),
    }
}

/// Makes columns of rows.
fn turn<T: Copy>(samples: &[T], stored: (usize, usize), channels: usize, orientation: Orientation) -> Vec<T> {
    match channels {
        1 => turn_pixels::<T, 1>(samples, stored, orientation),
        2 => turn_pixels::<T, 2>(samples, stored, orientation),
        3 => turn_pixels::<T, 3>(samples, stored, orientation),
        _ => turn_pixels::<T, 4>(samples, stored, orientation),
    }
}

fn turn_pixels<T: Copy, const C: usize>(samples: &[T], stored: (usize, usize), orientation: Orientation) -> Vec<T> {
    let (pixels, _) = samples.as_chunks::<C>();
    let (width, height) = stored;
    let (out_width, out_height) = (height, width);
    let mut out = Vec::with_capacity(samples.len());
    for y in 0..out_height {
        // Along one row of the output, the source moves by a constant step.
        let (x0, y0) = orientation.source(0, y, width, height);
        let (x1, y1) = if out_width > 1 { orientation.source(1, y, width, height) } else { (x0, y0) };
        let start = (y0 * width + x0) as isize;
        let step = (y1 * width + x1) as isize - start;
        out.extend((0..out_width as isize).flat_map(|i| pixels[(start + i * step) as usize]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Mode;

    /// `ab` over `cd` over `ef`, as stored; the upright picture for each EXIF value follows the EXIF 2.3 table of
    /// what the 0th row and 0th column stand for.
    #[test]
    fn every_orientation_moves_the_corners_as_exif_defines() {
        let stored = Image::new(Mode::L, 2, 3, Samples::U8(b"abcdef".to_vec())).unwrap();
        for (value, width, upright) in [
            (1, 2, b"abcdef"),
            (2, 2, b"badcfe"),
            (3, 2, b"fedcba"),
            (4, 2, b"efcdab"),
            (5, 3, b"acebdf"),
            (6, 3, b"ecafdb"),
            (7, 3, b"fdbeca"),
            (8, 3, b"bdface"),
        ] {
            let turned = stored.clone().oriented(Orientation::from_exif(value).unwrap()).unwrap();
            assert_eq!(turned.width(), width, "{value}");
            assert_eq!(turned.as_u8().unwrap(), upright, "{value}");
        }
    }

    #[test]
    fn pixels_of_every_mode_stay_whole() {
        for mode in Mode::ALL {
            let c = mode.channels();
            let samples = match mode.sample_type() {
                crate::image::SampleType::U8 => Samples::U8((0..3 * c as u8).collect()),
                crate::image::SampleType::U16 => Samples::U16((0..3 * c as u16).collect()),
                crate::image::SampleType::F32 => Samples::F32((0..3 * c as u8).map(f32::from).collect()),
            };
            let image = Image::new(mode, 3, 1, samples).unwrap();
            let turned = image.clone().oriented(Orientation::Rotate90).unwrap();
            assert_eq!((turned.width(), turned.height()), (1, 3));
            assert_eq!(turned.samples(), image.samples(), "a row turned is a column of the same pixels");
            assert_eq!(turned.oriented(Orientation::Rotate270).unwrap(), image);
        }
    }

    #[test]
    fn xmp_is_read_as_attribute_and_as_element() {
        for xmp in [&b"<x tiff:Orientation=\"6\"/>"[..], b"<tiff:Orientation>6</tiff:Orientation>"] {
            assert_eq!(Orientation::from_xmp(xmp), Some(Orientation::Rotate90));
        }
        assert_eq!(Orientation::from_xmp(b"tiff:Orientation=\"9\""), None);
        assert_eq!(Orientation::from_xmp(b"tiff:Orientation"), None);
    }

    #[test]
    fn values_that_exif_does_not_define_are_no_orientation() {
        assert_eq!(Orientation::from_exif(0), None);
        assert_eq!(Orientation::from_exif(9), None);
    }
}
