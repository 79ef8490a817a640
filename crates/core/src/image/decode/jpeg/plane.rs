//! The samples of one component, as far as they are still needed.

use super::{
    frame::{COEFFICIENTS, Component, Frame},
    idct::{Full, Transform},
    reduced::{Eighth, Half, Quarter},
};

/// Two rows of units of a component's samples: the one that is decoded and the one before it.
pub(crate) struct Plane {
    data: Vec<u8>,
    /// Samples from row to row, with those that only fill blocks.
    stride: usize,
    /// Samples along a side of what a block becomes.
    side: usize,
    /// Rows that are kept; row `y` lies at `y` modulo this.
    kept: usize,
    /// Samples of the picture.
    width: usize,
    height: usize,
}

impl Plane {
    pub(crate) fn new(frame: &Frame, component: &Component) -> Self {
        let stride = frame.stored_blocks_wide(component) * component.side;
        let kept = 2 * component.v * component.side;
        let (side, width, height) = (component.side, component.width, component.height);
        Self { data: vec![0; stride * kept], stride, side, kept, width, height }
    }

    /// Samples across.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Row `y`, or the last one if there are fewer.
    #[inline(always)]
    pub(crate) fn row(&self, y: usize) -> &[u8] {
        let start = y.min(self.height - 1) % self.kept * self.stride;
        &self.data[start..start + self.width]
    }

    /// Makes samples of a block, whose place is counted in blocks. `WHOLE` promises that the picture is not made smaller, so
    /// that a loop is compiled for that alone.
    #[inline(always)]
    pub(crate) fn set<const WHOLE: bool>(
        &mut self,
        place: (usize, usize),
        block: &[i16; COEFFICIENTS],
        steps: &[i16; COEFFICIENTS],
        only_dc: bool,
    ) {
        match self.side {
            _ if WHOLE => self.transform::<Full>(place, block, steps, only_dc),
            1 => self.transform::<Eighth>(place, block, steps, only_dc),
            2 => self.transform::<Quarter>(place, block, steps, only_dc),
            4 => self.transform::<Half>(place, block, steps, only_dc),
            _ => self.transform::<Full>(place, block, steps, only_dc),
        }
    }

    #[inline(always)]
    fn transform<T: Transform>(
        &mut self,
        (x, y): (usize, usize),
        block: &[i16; COEFFICIENTS],
        steps: &[i16; COEFFICIENTS],
        only_dc: bool,
    ) {
        let start = y * T::SIZE % self.kept * self.stride + x * T::SIZE;
        if let Some(out) = self.data.get_mut(start..start + (T::SIZE - 1) * self.stride + T::SIZE) {
            T::inverse(block, steps, only_dc, out, self.stride);
        }
    }
}
