//! Pixels, row by row, as soon as the samples around them are decoded.

use pulp::{Arch, Simd, WithSimd};

use super::{
    colour::Colour,
    frame::{BLOCK, COEFFICIENTS, Component, Frame},
    plane::Plane,
    upsample::{Rows, Upsampling},
};
use crate::image::recycled;

/// Gathers samples and gives pixels.
pub(crate) struct Output<'a> {
    frame: &'a Frame,
    colour: Colour,
    planes: Vec<(Plane, Upsampling, Rows)>,
    /// The picture.
    pixels: Vec<u8>,
    /// The next row of the picture.
    next: usize,
}

impl<'a> Output<'a> {
    pub(crate) fn new(frame: &'a Frame, colour: Colour) -> Self {
        let plane = |component| (Plane::new(frame, component), Upsampling::of(frame, component), Rows::default());
        Self {
            frame,
            colour,
            planes: frame.components.iter().map(plane).collect(),
            // Every row is written once all units are decoded, whatever they hold.
            pixels: recycled::bytes(frame.width * frame.height * colour.channels()),
            next: 0,
        }
    }

    /// Whether the picture is not made smaller.
    pub(crate) fn is_whole(&self) -> bool {
        self.frame.side == BLOCK
    }

    /// Takes a block of a component; its place is counted in blocks. `WHOLE` promises what it does in [`Plane::set`].
    #[inline(always)]
    pub(crate) fn block<const WHOLE: bool>(
        &mut self,
        component: usize,
        place: (usize, usize),
        block: &[i16; COEFFICIENTS],
        steps: &[i16; COEFFICIENTS],
        only_dc: bool,
    ) {
        if let Some((plane, ..)) = self.planes.get_mut(component) {
            plane.set::<WHOLE>(place, block, steps, only_dc);
        }
    }

    /// Gives the pixels whose samples are there once `rows` rows of units are, or all if that is all.
    pub(crate) fn give(&mut self, rows: usize) {
        let ready = if rows >= self.frame.units_high {
            self.frame.height
        } else {
            // The last row of samples waits for the one below it.
            let ready = |(c, (_, up, _)): (&Component, &(_, Upsampling, _))| (rows * c.v * c.side - 1) * up.down();
            self.frame.components.iter().zip(&self.planes).map(ready).min().unwrap_or(0).min(self.frame.height)
        };
        Arch::new().dispatch(Pixels { output: self, ready });
        self.next = ready;
    }

    /// The picture, row by row.
    pub(crate) fn pixels(self) -> Vec<u8> {
        self.pixels
    }
}

/// The rows from the next up to `ready`, with the widest vectors that the processor has.
struct Pixels<'o, 'a> {
    output: &'o mut Output<'a>,
    ready: usize,
}

impl WithSimd for Pixels<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { output: Output { frame, colour, planes, pixels, next }, ready } = self;
        let rows = pixels.chunks_exact_mut(frame.width * colour.channels());
        for (y, out) in rows.enumerate().take(ready).skip(*next) {
            match &mut planes[..] {
                [a] => colour.convert(&[a.1.row(&a.0, y, &mut a.2)], out),
                [a, b, c] => colour.convert(&[a, b, c].map(|(plane, up, rows)| up.row(plane, y, rows)), out),
                [a, b, c, d] => colour.convert(&[a, b, c, d].map(|(plane, up, rows)| up.row(plane, y, rows)), out),
                _ => {}
            }
        }
    }
}
