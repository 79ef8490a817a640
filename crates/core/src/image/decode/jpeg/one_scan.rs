//! A sequential picture whose one scan has all its components: decoded unit by unit, nothing gathered.

use pulp::{Arch, Simd, WithSimd};

use super::{
    bits::Bits,
    colour::Colour,
    frame::{COEFFICIENTS, Frame},
    huffman::Table,
    output::Output,
    refusal::{Result, in_time},
    scan::{Layout, Restarts, Scan},
    sequential,
    tables::{Steps, Tables},
};
use crate::image::decode::task::Task;

/// Such a picture under way.
pub(crate) struct OneScan<'a> {
    layout: Layout,
    parts: Vec<Part>,
    bits: Bits<'a>,
    restarts: Restarts,
    output: Output<'a>,
    /// Rows of units that make a row of the largest component: more than one only where a single component stands alone.
    rows: usize,
}

/// A component's part in the scan.
struct Part {
    component: usize,
    /// Blocks of a unit, across and down.
    wide: usize,
    high: usize,
    steps: Steps,
    dc: Box<Table>,
    ac: Box<Table>,
    /// The last DC coefficient.
    prediction: i32,
}

impl<'a> OneScan<'a> {
    pub(crate) fn new(frame: &'a Frame, tables: &Tables, scan: &Scan, colour: Colour, bytes: &'a [u8]) -> Result<Self> {
        let layout = scan.layout(frame);
        let mut parts = Vec::new();
        for (part, (wide, high)) in scan.parts.iter().zip(&layout.blocks) {
            let quantisation = frame.components.get(part.component).map_or(0, |c| c.quantisation);
            parts.push(Part {
                component: part.component,
                wide: *wide,
                high: *high,
                steps: tables.steps(quantisation, scan.data)?,
                dc: tables.dc(part.dc, scan.data)?,
                ac: tables.ac(part.ac, scan.data)?,
                prediction: 0,
            });
        }
        Ok(Self {
            layout,
            parts,
            bits: Bits::new(bytes, scan.data),
            restarts: Restarts::new(tables.restart_interval),
            output: Output::new(frame, colour),
            rows: if frame.components.len() == 1 { frame.max_v } else { 1 },
        })
    }

    /// The picture.
    pub(crate) fn pixels(mut self, task: &Task) -> Result<Vec<u8>> {
        let (arch, whole) = (Arch::new(), self.output.is_whole());
        for row in 0..self.layout.high {
            in_time(task)?;
            let scan = &mut self;
            if whole {
                arch.dispatch(Row::<true> { scan, row });
            } else {
                arch.dispatch(Row::<false> { scan, row });
            }
            if (row + 1) % self.rows == 0 || row + 1 == self.layout.high {
                self.output.give((row + 1).div_ceil(self.rows));
            }
        }
        Ok(self.output.pixels())
    }

    #[inline(always)]
    fn row<const WHOLE: bool>(&mut self, row: usize) {
        for unit in 0..self.layout.wide {
            if self.restarts.before_unit(&mut self.bits) {
                self.parts.iter_mut().for_each(|part| part.prediction = 0);
            }
            for part in &mut self.parts {
                for y in row * part.high..(row + 1) * part.high {
                    for x in unit * part.wide..(unit + 1) * part.wide {
                        let mut block = [0; COEFFICIENTS];
                        let any = !self.restarts.starved
                            && sequential::block(&mut self.bits, &part.dc, &part.ac, &mut part.prediction, &mut block);
                        self.output.block::<WHOLE>(part.component, (x, y), &block, &part.steps, !any);
                    }
                }
            }
            self.restarts.starved |= self.bits.overrun();
        }
    }
}

/// A row of units, with the widest vectors that the processor has.
struct Row<'r, 'a, const WHOLE: bool> {
    scan: &'r mut OneScan<'a>,
    row: usize,
}

impl<const WHOLE: bool> WithSimd for Row<'_, '_, WHOLE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.scan.row::<WHOLE>(self.row);
    }
}
