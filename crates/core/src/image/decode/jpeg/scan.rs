//! What a scan header says, and the walk over a scan's blocks with its restarts (T.81, B.2.3, A.2 and E.2.4).

use super::{
    bits::Bits,
    frame::Frame,
    refusal::{Result, damaged},
};

/// A scan header.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    /// In the scan's order.
    pub(crate) parts: Vec<Part>,
    /// The first and last coefficient in zigzag order.
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// The bit that an earlier scan stopped at (0: this is the first scan), and the one that this scan stops at.
    pub(crate) high: u32,
    pub(crate) low: u32,
    /// The first byte of entropy-coded data.
    pub(crate) data: usize,
}

/// A component's part in a scan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    /// Which component of the frame.
    pub(crate) component: usize,
    /// Which Huffman tables.
    pub(crate) dc: usize,
    pub(crate) ac: usize,
}

impl Scan {
    /// The scan of a start-of-scan segment that ends at byte `at`.
    pub(crate) fn read(frame: &Frame, payload: &[u8], at: usize) -> Result<Self> {
        let (parts, spectral) = match payload.split_first() {
            Some((&count, rest)) if (1..=4).contains(&count) && rest.len() == usize::from(count) * 2 + 3 => {
                rest.split_at(usize::from(count) * 2)
            }
            _ => return damaged(at, "a scan header's length does not fit its components"),
        };
        let &[first, last, approximation] = spectral else { return damaged(at, "a scan header is too short") };
        let mut scan = Self {
            parts: Vec::new(),
            first: first.into(),
            last: last.into(),
            high: u32::from(approximation >> 4),
            low: u32::from(approximation & 15),
            data: at,
        };
        for [id, tables] in parts.as_chunks().0 {
            // Some files give all components one id; they are taken in order.
            let taken = |i: usize| scan.parts.iter().any(|part| part.component == i);
            let found = frame.components.iter().enumerate().position(|(i, c)| c.id == *id && !taken(i));
            let Some(component) = found else {
                return damaged(at, format_args!("a scan names component {id}, which is not there or named twice"));
            };
            scan.parts.push(Part { component, dc: usize::from(tables >> 4), ac: usize::from(tables & 15) });
        }
        if !frame.progressive {
            // What a sequential scan says here means nothing; libjpeg only warns.
            (scan.first, scan.last, scan.high, scan.low) = (0, 63, 0, 0);
        }
        scan.check(frame, at)?;
        Ok(scan)
    }

    fn check(&self, frame: &Frame, at: usize) -> Result<()> {
        let blocks: usize =
            self.parts.iter().filter_map(|part| frame.components.get(part.component)).map(|c| c.h * c.v).sum();
        if self.parts.len() > 1 && blocks > 10 {
            return damaged(at, format_args!("a scan interleaves {blocks} blocks, and 10 is the most"));
        }
        let Self { first, last, high, low, .. } = *self;
        let band = if first == 0 { last == 0 } else { first <= last && last < 64 && self.parts.len() == 1 };
        if frame.progressive && !(band && low <= 13 && (high == 0 || high == low + 1)) {
            let what = format!("a progressive scan of coefficients {first} to {last}, bits {high} to {low}");
            return damaged(at, what);
        }
        Ok(())
    }

    /// The scan's units across and down, and for every part its blocks in one unit.
    pub(crate) fn layout(&self, frame: &Frame) -> Layout {
        let component = |part: &Part| frame.components.get(part.component);
        if let [part] = &self.parts[..] {
            let (wide, high) = component(part).map_or((0, 0), |c| (c.blocks_wide, c.blocks_high));
            return Layout { wide, high, blocks: vec![(1, 1)] };
        }
        let blocks = |part: &Part| component(part).map_or((0, 0), |c| (c.h, c.v));
        Layout { wide: frame.units_wide, high: frame.units_high, blocks: self.parts.iter().map(blocks).collect() }
    }
}

/// How a scan's blocks are ordered.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Units across and down.
    pub(crate) wide: usize,
    pub(crate) high: usize,
    /// A unit's blocks across and down, for every part.
    pub(crate) blocks: Vec<(usize, usize)>,
}

/// Where restarts come, and whether data are left.
pub(crate) struct Restarts {
    /// Units between restarts; 0 for none.
    interval: usize,
    left: usize,
    next: u8,
    /// The data ended early: units up to the next restart keep what they have.
    pub(crate) starved: bool,
}

impl Restarts {
    pub(crate) fn new(interval: usize) -> Self {
        Self { interval, left: interval, next: 0, starved: false }
    }

    /// Whether no restart will come.
    pub(crate) fn none(&self) -> bool {
        self.interval == 0
    }

    /// Called before every unit. True if predictions start anew.
    #[inline(always)]
    pub(crate) fn before_unit(&mut self, bits: &mut Bits<'_>) -> bool {
        if self.interval == 0 {
            return false;
        }
        let restarts = self.left == 0;
        if restarts {
            if bits.restart(self.next) {
                self.starved = false;
            }
            self.next = (self.next + 1) & 7;
            self.left = self.interval;
        }
        self.left -= 1;
        restarts
    }
}

#[cfg(test)]
mod tests {
    use super::super::{markers::SOF0, refusal::Refusal};
    use super::*;

    fn frame(marker: u8) -> Frame {
        Frame::read(marker, &[8, 0, 17, 0, 33, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1], 0).unwrap()
    }

    #[test]
    fn units_hold_all_blocks_of_an_interleaved_scan_and_one_block_of_another() {
        let frame = frame(SOF0);
        let scan = Scan::read(&frame, &[3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0], 0).unwrap();
        let layout = scan.layout(&frame);
        assert_eq!((layout.wide, layout.high, layout.blocks), (3, 2, vec![(2, 2), (1, 1), (1, 1)]));
        let layout = Scan::read(&frame, &[1, 1, 0, 0, 63, 0], 0).unwrap().layout(&frame);
        assert_eq!((layout.wide, layout.high, layout.blocks), (5, 3, vec![(1, 1)]));
    }

    #[test]
    fn scans_of_unknown_components_or_impossible_progressions_are_damaged() {
        for (marker, payload) in [
            (SOF0, &[1, 9, 0, 0, 63, 0][..]),
            (SOF0, &[2, 1, 0, 1, 0, 0, 63, 0]),
            (SOF0, &[2, 1, 0, 0, 63, 0]),
            (SOF0 + 2, &[1, 1, 0, 0, 63, 0]),
            (SOF0 + 2, &[1, 1, 0, 5, 4, 0]),
            (SOF0 + 2, &[1, 1, 0, 1, 64, 0]),
            (SOF0 + 2, &[1, 1, 0, 1, 5, 0x31]),
            (SOF0 + 2, &[1, 1, 0, 1, 5, 0x0e]),
            (SOF0 + 2, &[2, 1, 0, 2, 0, 1, 5, 0]),
        ] {
            assert!(matches!(Scan::read(&frame(marker), payload, 0), Err(Refusal::Damaged(_))), "{payload:?}");
        }
    }
}
