//! The samples of one component, as far as they are still needed.

use super::{
    frame::{COEFFICIENTS, Component, Frame},
    idct::{Full, Transform},
};

/// Two rows of units of a component's samples: the one that is decoded and the one before it.
pub(crate) struct Plane {
    data: Vec<u8>,
    /// Samples from row to row, with those that only fill blocks.
    stride: usize,
    /// Rows that are kept; row `y` lies at `y` modulo this.
    kept: usize,
    /// Samples of the picture.
    width: usize,
    height: usize,
}

impl Plane {
    pub(crate) fn new(frame: &Frame, component: &Component) -> Self {
        let stride = frame.stored_blocks_wide(component) * Full::SIZE;
        let kept = 2 * component.v * Full::SIZE;
        Self { data: vec![0; stride * kept], stride, kept, width: component.width, height: component.height }
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

    /// Makes samples of a block, whose place is counted in blocks.
    #[inline(always)]
    pub(crate) fn set(
        &mut self,
        (x, y): (usize, usize),
        block: &[i16; COEFFICIENTS],
        steps: &[i16; COEFFICIENTS],
        only_dc: bool,
    ) {
        let start = y * Full::SIZE % self.kept * self.stride + x * Full::SIZE;
        if let Some(out) = self.data.get_mut(start..start + (Full::SIZE - 1) * self.stride + Full::SIZE) {
            Full::inverse(block, steps, only_dc, out, self.stride);
        }
    }
}
