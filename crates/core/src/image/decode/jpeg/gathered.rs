//! Pictures of several scans: all coefficients are gathered before the first sample.

use pulp::{Arch, Simd, WithSimd};

use super::{
    bits::Bits,
    colour::Colour,
    frame::{COEFFICIENTS, Frame},
    huffman::Table,
    markers::Cursor,
    output::Output,
    progressive::{self, Band},
    refusal::{Result, damaged, in_time},
    scan::{Restarts, Scan},
    sequential,
    tables::{Steps, Tables},
};
use crate::image::decode::task::Task;

/// How often a coefficient may be coded. An encoder can ask for 14 bits, one at a time.
const MOST_PASSES: u8 = 20;

/// The coefficients that scans have given so far.
pub(crate) struct Gathered<'a> {
    frame: &'a Frame,
    components: Vec<Coefficients>,
}

struct Coefficients {
    blocks: Vec<[i16; COEFFICIENTS]>,
    /// Blocks from row to row.
    stride: usize,
    /// The steps at the component's first scan. None before it.
    steps: Option<Steps>,
    /// How many scans have coded each coefficient, in zigzag order.
    passes: [u8; COEFFICIENTS],
}

/// How a scan codes blocks, with the codes for it.
enum Coding {
    Sequential { dc: Box<Table>, ac: Box<Table> },
    DcFirst(Box<Table>),
    DcMore,
    AcFirst(Box<Table>),
    AcMore(Box<Table>),
}

impl<'a> Gathered<'a> {
    pub(crate) fn new(frame: &'a Frame) -> Self {
        let coefficients = |component| {
            let stride = frame.stored_blocks_wide(component);
            let blocks = vec![[0; COEFFICIENTS]; stride * frame.units_high * component.v];
            Coefficients { blocks, stride, steps: None, passes: [0; COEFFICIENTS] }
        };
        Self { frame, components: frame.components.iter().map(coefficients).collect() }
    }

    /// Reads a scan, up to the marker after it.
    pub(crate) fn scan(&mut self, tables: &Tables, scan: &Scan, cursor: &mut Cursor<'_>, task: &Task) -> Result<()> {
        let mut codings = Vec::new();
        for part in &scan.parts {
            codings.push(match (self.frame.progressive, scan.first, scan.high) {
                (false, ..) => {
                    Coding::Sequential { dc: tables.dc(part.dc, scan.data)?, ac: tables.ac(part.ac, scan.data)? }
                }
                (true, 0, 0) => Coding::DcFirst(tables.dc(part.dc, scan.data)?),
                (true, 0, _) => Coding::DcMore,
                (true, _, 0) => Coding::AcFirst(tables.ac(part.ac, scan.data)?),
                (true, ..) => Coding::AcMore(tables.ac(part.ac, scan.data)?),
            });
            let (Some(gathered), Some(component)) =
                (self.components.get_mut(part.component), self.frame.components.get(part.component))
            else {
                continue;
            };
            if gathered.steps.is_none() {
                gathered.steps = Some(tables.steps(component.quantisation, scan.data)?);
            }
            for passes in gathered.passes.iter_mut().take(scan.last + 1).skip(scan.first) {
                *passes += 1;
                if *passes > MOST_PASSES {
                    return damaged(scan.data, format_args!("a coefficient is coded more than {MOST_PASSES} times"));
                }
            }
        }
        let mut bits = Bits::new(cursor.bytes, scan.data);
        let restarts = Restarts::new(tables.restart_interval);
        Arch::new().dispatch(Units { gathered: self, scan, codings: &codings, bits: &mut bits, restarts, task })?;
        cursor.at = bits.position();
        Ok(())
    }

    /// The picture.
    pub(crate) fn pixels(&self, colour: Colour, task: &Task) -> Result<Vec<u8>> {
        let mut output = Output::new(self.frame, colour);
        for row in 0..self.frame.units_high {
            in_time(task)?;
            let (arch, gathered) = (Arch::new(), self);
            if output.is_whole() {
                arch.dispatch(Samples::<true> { gathered, row, output: &mut output });
            } else {
                arch.dispatch(Samples::<false> { gathered, row, output: &mut output });
            }
            output.give(row + 1);
        }
        Ok(output.pixels())
    }
}

/// All units of a scan, with the widest vectors that the processor has.
struct Units<'u, 'a, 'b> {
    gathered: &'u mut Gathered<'a>,
    scan: &'u Scan,
    codings: &'u [Coding],
    bits: &'u mut Bits<'b>,
    restarts: Restarts,
    task: &'u Task,
}

impl WithSimd for Units<'_, '_, '_> {
    type Output = Result<()>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Result<()> {
        let Self { gathered, scan, codings, bits, mut restarts, task } = self;
        let mut predictions = [0_i32; 4];
        let mut band = Band { first: scan.first, last: scan.last, low: scan.low, empty: 0 };
        let layout = scan.layout(gathered.frame);
        for (row, unit) in (0..layout.high).flat_map(|row| (0..layout.wide).map(move |unit| (row, unit))) {
            if unit == 0 {
                in_time(task)?;
            }
            if restarts.before_unit(bits) {
                predictions = [0; 4];
                band.empty = 0;
            }
            if restarts.starved {
                if restarts.none() {
                    return Ok(());
                }
                continue;
            }
            let parts = scan.parts.iter().zip(&layout.blocks).zip(codings).zip(&mut predictions);
            for (((part, (wide, high)), coding), prediction) in parts {
                let Some(coefficients) = gathered.components.get_mut(part.component) else { continue };
                for y in row * high..(row + 1) * high {
                    for x in unit * wide..(unit + 1) * wide {
                        let Some(block) = coefficients.blocks.get_mut(y * coefficients.stride + x) else { continue };
                        match coding {
                            Coding::Sequential { dc, ac } => {
                                sequential::block(bits, dc, ac, prediction, block);
                            }
                            Coding::DcFirst(dc) => progressive::dc_first(bits, dc, scan.low, prediction, block),
                            Coding::DcMore => progressive::dc_more(bits, scan.low, block),
                            Coding::AcFirst(ac) => band.first(bits, ac, block),
                            Coding::AcMore(ac) => band.more(bits, ac, block),
                        }
                    }
                }
            }
            restarts.starved |= bits.overrun();
        }
        Ok(())
    }
}

/// The samples of a row of units, with the widest vectors that the processor has.
struct Samples<'s, 'a, 'o, const WHOLE: bool> {
    gathered: &'s Gathered<'a>,
    row: usize,
    output: &'s mut Output<'o>,
}

impl<const WHOLE: bool> WithSimd for Samples<'_, '_, '_, WHOLE> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { gathered, row, output } = self;
        for (number, (coefficients, component)) in
            gathered.components.iter().zip(&gathered.frame.components).enumerate()
        {
            // A component without a scan is grey.
            let steps = coefficients.steps.unwrap_or([0; COEFFICIENTS]);
            let rows = coefficients.blocks.chunks_exact(coefficients.stride).enumerate();
            for (y, blocks) in rows.skip(row * component.v).take(component.v) {
                for (x, block) in blocks.iter().enumerate() {
                    let only_dc = block[1..].iter().fold(0, |any, coefficient| any | coefficient) == 0;
                    output.block::<WHOLE>(number, (x, y), block, &steps, only_dc);
                }
            }
        }
    }
}
