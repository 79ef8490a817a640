//! From a component's samples to one for every pixel: what libjpeg calls fancy upsampling, bit for bit.
//!
//! A sample that is missing is three quarters its nearer neighbour and one quarter the farther one. Samples lie in the
//! middle of the pixels they stand for. Roundings alternate, so that they lean neither way.

use super::{
    frame::{Component, Frame},
    plane::Plane,
};

/// How a component gets its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upsampling {
    /// It has them.
    None,
    /// Two pixels across for each sample.
    Wide,
    /// Two pixels down.
    High,
    /// Two across and two down.
    Both,
    /// So many times the same, across and down.
    Repeat(usize, usize),
}

/// Room for rows under way.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Sums of two rows, three times the nearer and once the farther, between two zeros.
    sums: Vec<i16>,
    out: Vec<u8>,
}

impl Upsampling {
    /// What libjpeg chooses. At 1/8 of a picture's size it interpolates nothing.
    pub(crate) fn of(frame: &Frame, component: &Component) -> Self {
        let pixels = |most: usize, factor: usize| most * frame.side / (factor * component.side);
        let interpolates = frame.side > 1;
        match (pixels(frame.max_h, component.h), pixels(frame.max_v, component.v)) {
            (1, 1) => Self::None,
            (2, 1) if interpolates && component.width > 2 => Self::Wide,
            (1, 2) if interpolates => Self::High,
            (2, 2) if interpolates && component.width > 2 => Self::Both,
            (h, v) => Self::Repeat(h, v),
        }
    }

    /// Pixels down for each sample.
    pub(crate) fn down(self) -> usize {
        match self {
            Self::None | Self::Wide => 1,
            Self::High | Self::Both => 2,
            Self::Repeat(_, v) => v,
        }
    }

    /// Row `y` of the picture, at least as wide as it.
    #[inline(always)]
    pub(crate) fn row<'r>(self, plane: &'r Plane, y: usize, rows: &'r mut Rows) -> &'r [u8] {
        // The nearer row of two, and the farther: the one above for the upper pixel, the one below for the lower.
        let near = plane.row(y / 2);
        let far = plane.row(if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { y / 2 + 1 });
        match self {
            Self::None => return plane.row(y),
            Self::Wide => {
                rows.out.resize(2 * plane.width(), 0);
                wide(plane.row(y), &mut rows.out);
            }
            Self::High => {
                rows.out.resize(plane.width(), 0);
                high(near, far, 1 + (y % 2) as u16, &mut rows.out);
            }
            Self::Both => {
                rows.out.resize(2 * plane.width(), 0);
                rows.sums.resize(plane.width(), 0);
                for ((sum, near), far) in rows.sums.iter_mut().zip(near).zip(far) {
                    *sum = i16::from(*near) * 3 + i16::from(*far);
                }
                both(&rows.sums, &mut rows.out);
            }
            Self::Repeat(h, v) => {
                rows.out.resize(h * plane.width(), 0);
                for (pixels, sample) in rows.out.chunks_exact_mut(h).zip(plane.row(y / v)) {
                    pixels.fill(*sample);
                }
            }
        }
        &rows.out
    }
}

#[inline(always)]
fn high(near: &[u8], far: &[u8], bias: u16, out: &mut [u8]) {
    for ((out, near), far) in out.iter_mut().zip(near).zip(far) {
        *out = ((u16::from(*near) * 3 + u16::from(*far) + bias) >> 2) as u8;
    }
}

#[inline(always)]
fn wide(samples: &[u8], out: &mut [u8]) {
    let ([first, right @ ..], [start, inner @ .., end]) = (samples, out) else { return };
    (*start, *end) = (*first, *right.last().unwrap_or(first));
    // Between two samples lie two pixels, one nearer to each.
    for (pixels, (left, right)) in inner.as_chunks_mut::<2>().0.iter_mut().zip(samples.iter().zip(right)) {
        let (left, right) = (u16::from(*left), u16::from(*right));
        *pixels = [((3 * left + right + 2) >> 2) as u8, ((3 * right + left + 1) >> 2) as u8];
    }
}

#[inline(always)]
fn both(sums: &[i16], out: &mut [u8]) {
    let ([first, right @ ..], [start, inner @ .., end]) = (sums, out) else { return };
    (*start, *end) = (((first * 4 + 8) >> 4) as u8, ((right.last().unwrap_or(first) * 4 + 7) >> 4) as u8);
    for (pixels, (left, right)) in inner.as_chunks_mut::<2>().0.iter_mut().zip(sums.iter().zip(right)) {
        *pixels = [((3 * left + right + 7) >> 4) as u8, ((3 * right + left + 8) >> 4) as u8];
    }
}

#[cfg(test)]
mod tests {
    use super::super::markers::SOF0;
    use super::*;

    fn chosen(width: u8, sampling: u8) -> Upsampling {
        let frame = Frame::read(SOF0, &[8, 0, 9, 0, width, 3, 1, sampling, 0, 2, 0x11, 1, 3, 0x11, 1], 0).unwrap();
        Upsampling::of(&frame, &frame.components[1])
    }

    #[test]
    fn narrow_components_are_repeated_unless_they_only_grow_down() {
        assert_eq!((chosen(5, 0x21), chosen(4, 0x21)), (Upsampling::Wide, Upsampling::Repeat(2, 1)));
        assert_eq!((chosen(5, 0x22), chosen(4, 0x22)), (Upsampling::Both, Upsampling::Repeat(2, 2)));
        assert_eq!((chosen(1, 0x12), chosen(9, 0x41)), (Upsampling::High, Upsampling::Repeat(4, 1)));
    }

    #[test]
    fn pixels_across_are_three_quarters_the_nearer_sample() {
        let mut out = [0; 6];
        wide(&[0, 100, 255], &mut out);
        assert_eq!(out, [0, 25, 75, 139, 216, 255]);
        both(&[0, 400, 1020], &mut out);
        assert_eq!(out, [0, 25, 75, 139, 216, 255]);
    }

    #[test]
    fn pixels_down_are_three_quarters_the_nearer_sample() {
        let mut out = [0; 2];
        high(&[10, 255], &[20, 255], 1, &mut out);
        assert_eq!(out, [12, 255]);
        high(&[10, 255], &[20, 255], 2, &mut out);
        assert_eq!(out, [13, 255]);
    }
}
