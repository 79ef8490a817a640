//! What a frame header says, and the sizes that follow from it (T.81, B.2.2 and A.1.1).

use super::{
    markers::SOF0,
    refusal::{Result, damaged, unsupported},
};

/// Samples along a block's side.
pub(crate) const BLOCK: usize = 8;
/// Coefficients of a block.
pub(crate) const COEFFICIENTS: usize = BLOCK * BLOCK;

/// A picture's size, its coding and its components.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) progressive: bool,
    /// Pixels along a side of what a block becomes: 8, or 4, 2 or 1 where the picture is made smaller.
    pub(crate) side: usize,
    /// In pixels, of the picture as it is made.
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// The largest sampling factors.
    pub(crate) max_h: usize,
    pub(crate) max_v: usize,
    /// Minimum coded units of an interleaved scan, across and down: each 8 `max_h` x 8 `max_v` pixels.
    pub(crate) units_wide: usize,
    pub(crate) units_high: usize,
    /// One, three or four.
    pub(crate) components: Vec<Component>,
}

/// One component: a plane of samples, perhaps fewer than there are pixels.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    pub(crate) id: u8,
    /// Sampling factors, 1 to 4.
    pub(crate) h: usize,
    pub(crate) v: usize,
    /// Which quantisation table.
    pub(crate) quantisation: usize,
    /// Samples along a side of what a block becomes, at least the frame's.
    pub(crate) side: usize,
    /// In samples, without those that only fill blocks.
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Blocks with samples of the picture.
    pub(crate) blocks_wide: usize,
    pub(crate) blocks_high: usize,
}

impl Frame {
    /// The frame of a start-of-frame segment, marker code `marker`, which ends at byte `at`.
    pub(crate) fn read(marker: u8, payload: &[u8], at: usize) -> Result<Self> {
        let progressive = match marker - SOF0 {
            0 | 1 => false,
            2 => true,
            3 => return unsupported("lossless coding"),
            5..=7 => return unsupported("hierarchical coding"),
            9 | 10 => return unsupported("arithmetic coding"),
            11 => return unsupported("lossless arithmetic coding"),
            _ => return unsupported("hierarchical arithmetic coding"),
        };
        let Some((&[precision, h1, h0, w1, w0, count], components)) = payload.split_first_chunk() else {
            return damaged(at, "the frame header is too short");
        };
        if precision != 8 {
            return unsupported(format!("{precision} bits a sample"));
        }
        let (height, width) = (u16::from_be_bytes([h1, h0]).into(), u16::from_be_bytes([w1, w0]).into());
        let (components, rest) = components.as_chunks::<3>();
        if components.len() != usize::from(count) || !rest.is_empty() {
            return damaged(at, format_args!("the frame header's length does not fit its {count} components"));
        }
        if !matches!(count, 1 | 3 | 4) {
            return unsupported(format!("{count} components"));
        }
        if width == 0 {
            return damaged(at, "the picture is 0 pixels wide");
        }
        if height == 0 {
            return unsupported("a height that is given after the first scan (DNL)");
        }
        Self::new(progressive, width, height, components, at)
    }

    fn new(progressive: bool, width: usize, height: usize, components: &[[u8; 3]], at: usize) -> Result<Self> {
        let factors = |sampling: u8| (usize::from(sampling >> 4), usize::from(sampling & 15));
        let (mut max_h, mut max_v) = (1, 1);
        for [_, sampling, _] in components {
            let (h, v) = factors(*sampling);
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) {
                return damaged(at, format_args!("sampling factors of {h} x {v}"));
            }
            (max_h, max_v) = (max_h.max(h), max_v.max(v));
        }
        let component = |&[id, sampling, quantisation]: &[u8; 3]| {
            let (h, v) = factors(sampling);
            if max_h % h != 0 || max_v % v != 0 {
                return unsupported(format!("a component sampled {h} x {v} beside one sampled {max_h} x {max_v}"));
            }
            let (width, height) = ((width * h).div_ceil(max_h), (height * v).div_ceil(max_v));
            let (blocks_wide, blocks_high) = (width.div_ceil(BLOCK), height.div_ceil(BLOCK));
            let (quantisation, side) = (quantisation.into(), BLOCK);
            Ok(Component { id, h, v, quantisation, side, width, height, blocks_wide, blocks_high })
        };
        Ok(Self {
            progressive,
            side: BLOCK,
            width,
            height,
            max_h,
            max_v,
            units_wide: width.div_ceil(BLOCK * max_h),
            units_high: height.div_ceil(BLOCK * max_v),
            components: components.iter().map(component).collect::<Result<_>>()?,
        })
    }

    /// Has the picture made smaller: of each block `side` x `side` pixels, 1, 2, 4 or 8. Sizes are rounded up.
    ///
    /// A component with fewer samples than there are pixels gives more of each block as far as it can, which is better and
    /// cheaper than upsampling.
    pub(crate) fn reduce(&mut self, side: usize) {
        for c in &mut self.components {
            c.side = side;
            let fits = |most: usize, factor: usize, own: usize| (most * side).is_multiple_of(factor * own);
            while c.side < BLOCK && fits(self.max_h, c.h, 2 * c.side) && fits(self.max_v, c.v, 2 * c.side) {
                c.side *= 2;
            }
            c.width = (self.width * c.h * c.side).div_ceil(self.max_h * BLOCK);
            c.height = (self.height * c.v * c.side).div_ceil(self.max_v * BLOCK);
        }
        (self.width, self.height) = ((self.width * side).div_ceil(BLOCK), (self.height * side).div_ceil(BLOCK));
        self.side = side;
    }

    /// Blocks of a component across, with those that only fill units.
    pub(crate) fn stored_blocks_wide(&self, component: &Component) -> usize {
        self.units_wide * component.h
    }

    /// Bytes that the coefficients of all components take, two each.
    pub(crate) fn coefficient_bytes(&self) -> u64 {
        let units = self.units_wide as u64 * self.units_high as u64;
        let blocks: usize = self.components.iter().map(|c| c.h * c.v).sum();
        units * blocks as u64 * (2 * COEFFICIENTS as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusal::Refusal;
    use super::*;

    const YCC_420: [u8; 15] = [8, 0, 17, 0, 33, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];

    #[test]
    fn sizes_follow_from_the_sampling_factors() {
        let frame = Frame::read(SOF0, &YCC_420, 0).unwrap();
        assert_eq!((frame.width, frame.height, frame.units_wide, frame.units_high), (33, 17, 3, 2));
        let chroma = &frame.components[1];
        assert_eq!((chroma.width, chroma.height, chroma.blocks_wide, chroma.blocks_high), (17, 9, 3, 2));
        assert_eq!(frame.stored_blocks_wide(&frame.components[0]), 6);
        assert_eq!(frame.coefficient_bytes(), 6 * 6 * 128);
    }

    #[test]
    fn smaller_sizes_are_rounded_up_and_colour_is_kept_as_long_as_it_can_be() {
        for (sampling, side, size, luma, chroma) in [
            (0x22, 8, (33, 17), (8, 33, 17), (8, 17, 9)),
            (0x22, 4, (17, 9), (4, 17, 9), (8, 17, 9)),
            (0x22, 1, (5, 3), (1, 5, 3), (2, 5, 3)),
            (0x21, 2, (9, 5), (2, 9, 5), (2, 5, 5)),
            (0x44, 4, (17, 9), (4, 17, 9), (8, 9, 5)),
            (0x44, 1, (5, 3), (1, 5, 3), (4, 5, 3)),
        ] {
            let mut payload = YCC_420;
            payload[7] = sampling;
            let mut frame = Frame::read(SOF0, &payload, 0).unwrap();
            frame.reduce(side);
            let sizes = |c: &Component| (c.side, c.width, c.height);
            assert_eq!((frame.width, frame.height), size, "{sampling:x} {side}");
            assert_eq!(
                (sizes(&frame.components[0]), sizes(&frame.components[1])),
                (luma, chroma),
                "{sampling:x} {side}"
            );
            assert_eq!(frame.components[1].blocks_high, 17_usize.div_ceil(8 * usize::from(sampling & 15)));
        }
    }

    #[test]
    fn what_is_not_decoded_is_named() {
        let with = |at: usize, byte| {
            let mut payload = YCC_420;
            payload[at] = byte;
            payload
        };
        for (marker, payload, name) in [
            (SOF0 + 3, YCC_420, "lossless"),
            (SOF0 + 5, YCC_420, "hierarchical"),
            (SOF0 + 9, YCC_420, "arithmetic"),
            (SOF0 + 1, with(0, 12), "12 bits"),
            (SOF0, with(2, 0), "DNL"),
            (SOF0, with(7, 0x32), "2 x 1 beside one sampled 3 x 2"),
        ] {
            let payload = if name.starts_with("2 x 1") {
                [&payload[..10], &[0x21], &payload[11..]].concat()
            } else {
                payload.to_vec()
            };
            match Frame::read(marker, &payload, 0) {
                Err(Refusal::Unsupported(what)) => assert!(what.contains(name), "{what}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn headers_that_contradict_themselves_are_damaged() {
        for (at, byte) in [(4, 0), (5, 4), (7, 0x02), (7, 0x52)] {
            let mut payload = YCC_420;
            payload[at] = byte;
            assert!(matches!(Frame::read(SOF0, &payload, 0), Err(Refusal::Damaged(_))), "{at}");
        }
        assert!(matches!(Frame::read(SOF0, &YCC_420[..5], 0), Err(Refusal::Damaged(_))));
    }
}
