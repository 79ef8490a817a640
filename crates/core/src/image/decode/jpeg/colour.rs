//! From components to grey or RGB: libjpeg's conversion, and PIL's for four inks, bit for bit.

use super::frame::Frame;

/// What a picture's components are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Grey,
    /// Luma, blue difference, red difference.
    Ycc,
    Rgb,
    /// Inks, inverted as Adobe's programs write them: 255 is no ink.
    Cmyk,
    /// The first three of [`Self::Cmyk`] as [`Self::Ycc`] of the inverse.
    Ycck,
    /// [`Self::Cmyk`] that is not to become RGB, 255 for all the ink.
    CmykAsInks,
    /// [`Self::Ycck`] that is not to become RGB, 255 for all the ink.
    YcckAsInks,
}

impl Colour {
    /// What libjpeg takes the components for. `adobe` is the transform that Adobe's segment names.
    pub(crate) fn of(frame: &Frame, jfif: bool, adobe: Option<u8>) -> Self {
        let named_rgb = frame.components.iter().map(|c| c.id).eq(*b"RGB");
        match (frame.components.len(), adobe) {
            (1, _) => Self::Grey,
            (3, _) if jfif => Self::Ycc,
            (3, Some(0)) => Self::Rgb,
            (3, None) if named_rgb => Self::Rgb,
            (3, _) => Self::Ycc,
            (_, None | Some(0)) => Self::Cmyk,
            _ => Self::Ycck,
        }
    }

    /// The same with the inks as they are, where there are any.
    pub(crate) fn as_inks(self) -> Option<Self> {
        match self {
            Self::Cmyk => Some(Self::CmykAsInks),
            Self::Ycck => Some(Self::YcckAsInks),
            _ => None,
        }
    }

    /// Samples of a decoded pixel.
    pub(crate) fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Ycc | Self::Rgb | Self::Cmyk | Self::Ycck => 3,
            Self::CmykAsInks | Self::YcckAsInks => 4,
        }
    }

    /// One row of pixels. `components` are at least as wide.
    #[inline(always)]
    pub(crate) fn convert(self, components: &[&[u8]], out: &mut [u8]) {
        match (self, components) {
            (Self::Grey, [grey]) => out.iter_mut().zip(*grey).for_each(|(out, grey)| *out = *grey),
            (Self::Ycc, [y, cb, cr]) => {
                let (blocks, rest) = out.as_chunks_mut::<3>().0.as_chunks_mut::<TOGETHER>();
                let done = blocks.len() * TOGETHER;
                let (ys, cbs, crs) = (y.as_chunks().0, cb.as_chunks().0, cr.as_chunks().0);
                for (((out, y), cb), cr) in blocks.iter_mut().zip(ys).zip(cbs).zip(crs) {
                    *out = rgb_together(y, cb, cr);
                }
                let [y, cb, cr] = [y, cb, cr].map(|row| row.get(done..).unwrap_or_default());
                for (((out, y), cb), cr) in rest.iter_mut().zip(y).zip(cb).zip(cr) {
                    *out = rgb(*y, *cb, *cr);
                }
            }
            (Self::Rgb, [r, g, b]) => {
                for (((out, r), g), b) in out.as_chunks_mut::<3>().0.iter_mut().zip(*r).zip(*g).zip(*b) {
                    *out = [*r, *g, *b];
                }
            }
            (Self::Cmyk, [c, m, y, k]) => {
                for ((((out, c), m), y), k) in out.as_chunks_mut::<3>().0.iter_mut().zip(*c).zip(*m).zip(*y).zip(*k) {
                    *out = [*c, *m, *y].map(|ink| inked(ink, *k));
                }
            }
            (Self::Ycck, [y, cb, cr, k]) => {
                for ((((out, y), cb), cr), k) in out.as_chunks_mut::<3>().0.iter_mut().zip(*y).zip(*cb).zip(*cr).zip(*k)
                {
                    *out = rgb(*y, *cb, *cr).map(|paper| inked(255 - paper, *k));
                }
            }
            (Self::CmykAsInks, [c, m, y, k]) => {
                for ((((out, c), m), y), k) in out.as_chunks_mut::<4>().0.iter_mut().zip(*c).zip(*m).zip(*y).zip(*k) {
                    *out = [*c, *m, *y, *k].map(|ink| 255 - ink);
                }
            }
            (Self::YcckAsInks, [y, cb, cr, k]) => {
                for ((((out, y), cb), cr), k) in out.as_chunks_mut::<4>().0.iter_mut().zip(*y).zip(*cb).zip(*cr).zip(*k)
                {
                    let [c, m, y] = rgb(*y, *cb, *cr);
                    *out = [c, m, y, 255 - *k];
                }
            }
            _ => {}
        }
    }
}

/// `x` with 16 bits after the point.
const fn fixed(x: f64) -> i32 {
    (x * (1 << 16) as f64 + 0.5) as i32
}

/// Pixels of a row that are converted together: each of their samples fills a vector.
const TOGETHER: usize = 32;

/// [`rgb`] of many pixels, one colour after the other.
#[inline(always)]
fn rgb_together(y: &[u8; TOGETHER], cb: &[u8; TOGETHER], cr: &[u8; TOGETHER]) -> [[u8; 3]; TOGETHER] {
    let [mut r, mut g, mut b] = [[0; TOGETHER]; 3];
    for i in 0..TOGETHER {
        r[i] = red(y[i], cr[i]);
    }
    for i in 0..TOGETHER {
        g[i] = green(y[i], cb[i], cr[i]);
    }
    for i in 0..TOGETHER {
        b[i] = blue(y[i], cb[i]);
    }
    let mut out = [[0; 3]; TOGETHER];
    for i in 0..TOGETHER {
        out[i] = [r[i], g[i], b[i]];
    }
    out
}

/// JFIF's conversion with 16 bits after the point, each product rounded but the two of green together.
///
/// Factors are reduced by whole numbers to fit 16 bits, which changes no bit of the result.
#[inline(always)]
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    [red(y, cr), green(y, cb, cr), blue(y, cb)]
}

#[inline(always)]
fn red(y: u8, cr: u8) -> u8 {
    const RED: i32 = fixed(1.402) - (1 << 16);
    let cr = around_zero(cr);
    (i16::from(y) + cr + scaled::<RED>(cr)).clamp(0, 255) as u8
}

#[inline(always)]
fn green(y: u8, cb: u8, cr: u8) -> u8 {
    const CB: i32 = -fixed(0.344_14);
    const CR: i32 = (1 << 16) - fixed(0.714_14);
    let (cb, cr) = (around_zero(cb), around_zero(cr));
    let sum = (CB * i32::from(cb) + CR * i32::from(cr) + (1 << 15)) >> 16;
    (i16::from(y) - cr + sum as i16).clamp(0, 255) as u8
}

#[inline(always)]
fn blue(y: u8, cb: u8) -> u8 {
    const BLUE: i32 = fixed(1.772) - (2 << 16);
    let cb = around_zero(cb);
    (i16::from(y) + 2 * cb + scaled::<BLUE>(cb)).clamp(0, 255) as u8
}

#[inline(always)]
fn around_zero(difference: u8) -> i16 {
    i16::from(difference) - 128
}

/// `x` times `FACTOR`, which has 16 bits after the point, rounded. One bit is rounded away by itself, so that the product is
/// the upper half of one of 16 bits by 16, which processors have an instruction for.
#[inline(always)]
fn scaled<const FACTOR: i32>(x: i16) -> i16 {
    let twice = (i32::from(2 * x) * FACTOR) >> 16;
    (twice as i16 + 1) >> 1
}

/// The colour that `ink` (255 is none) leaves of what black (255 is none) leaves of white.
#[inline(always)]
pub(crate) fn inked(ink: u8, black: u8) -> u8 {
    // PIL's division by 255.
    let product = (255 - i32::from(ink)) * i32::from(black) + 128;
    (i32::from(black) - ((product + (product >> 8)) >> 8)).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::super::markers::SOF0;
    use super::*;

    #[test]
    fn colours_are_told_as_libjpeg_tells_them() {
        let of = |ids: &[u8], jfif, adobe| {
            let components: Vec<u8> = ids.iter().flat_map(|id| [*id, 0x11, 0]).collect();
            let payload = [&[8, 0, 1, 0, 1, ids.len() as u8], &components[..]].concat();
            Colour::of(&Frame::read(SOF0, &payload, 0).unwrap(), jfif, adobe)
        };
        assert_eq!(of(&[1], true, Some(0)), Colour::Grey);
        assert_eq!(of(b"RGB", false, None), Colour::Rgb);
        assert_eq!(of(b"RGB", true, None), Colour::Ycc);
        assert_eq!(of(&[1, 2, 3], true, Some(0)), Colour::Ycc);
        assert_eq!(of(&[1, 2, 3], false, Some(0)), Colour::Rgb);
        assert_eq!(of(b"RGB", false, Some(1)), Colour::Ycc);
        assert_eq!(of(b"abc", false, None), Colour::Ycc);
        assert_eq!(of(&[1, 2, 3, 4], true, None), Colour::Cmyk);
        assert_eq!(of(&[1, 2, 3, 4], false, Some(0)), Colour::Cmyk);
        assert_eq!(of(&[1, 2, 3, 4], false, Some(2)), Colour::Ycck);
    }

    #[test]
    fn colours_are_those_of_the_formula_within_one() {
        for (y, cb, cr) in (0..=255_u8).step_by(5).flat_map(|y| (0..=255_u8).map(move |c| (y, c, c.wrapping_mul(31)))) {
            let (fy, fcb, fcr) = (f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
            let exact = [fy + 1.402 * fcr, fy - 0.344_14 * fcb - 0.714_14 * fcr, fy + 1.772 * fcb];
            for (ours, exact) in rgb(y, cb, cr).into_iter().zip(exact) {
                assert!((f64::from(ours) - exact.clamp(0.0, 255.0)).abs() <= 0.51, "{ours} {exact}");
            }
        }
    }

    #[test]
    fn ink_darkens_and_black_ends_it() {
        assert_eq!(
            (inked(255, 255), inked(0, 255), inked(128, 255), inked(255, 100), inked(0, 0)),
            (255, 0, 128, 100, 0)
        );
    }
}
