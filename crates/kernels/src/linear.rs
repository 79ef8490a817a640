//! `y = act(x · wᵀ + b)`.

mod block;
mod epilogue;
mod narrow;
mod pack;
pub(crate) mod source;
mod stage;
#[cfg(target_arch = "x86_64")]
mod tiles;

use std::ops::Range;

use half::bf16;

use crate::{
    Activation, Alone, Cpu, Error, Level, Patches, Pool,
    error::{check, check_length},
    memory::{Shared, Words},
    pool::{run_once, share},
    simd::{Simd, block_steps, run},
    value::{Value, Values, ValuesMut},
};
#[cfg(target_arch = "x86_64")]
use crate::{amx, simd::run_amx, value::Lanes};
use block::Block;
use narrow::Narrow;
use source::{Rows, Source};

/// What products are computed in. Sums are f32, or whole numbers for bytes, and so are results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// f32.
    F32,
    /// Weights and inputs rounded to bf16.
    Bf16,
    /// Weights as bytes with a scale for each output, inputs as bytes with a scale and an offset for each row, found when they
    /// come.
    Int8,
}

impl Precision {
    /// Values in a word of four bytes.
    pub(crate) const fn per_word(self) -> usize {
        match self {
            Self::F32 => 1,
            Self::Bf16 => 2,
            Self::Int8 => 4,
        }
    }
}

/// What becomes of a product and its bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// Written, after a function of it.
    Activate(Activation),
    /// Added to what stands there: the residual stream, say, or embeddings of positions.
    Add,
}

/// A layer's weights, packed for one processor and precision.
pub struct Linear {
    cpu: Cpu,
    precision: Precision,
    inputs: usize,
    outputs: usize,
    geometry: Geometry,
    /// For each block of steps, for each panel of columns, for each step: a word for each column.
    words: Words,
    /// For each column, zeros up to whole panels.
    bias: Vec<f32>,
    /// What a column's bytes are multiplied with. Empty for other precisions.
    scales: Vec<f32>,
    /// The sum of a column's weights as they were rounded. Empty for other precisions.
    sums: Vec<f32>,
}

/// How a product is cut.
#[derive(Clone, Copy)]
struct Geometry {
    /// Rows of a tile.
    rows: usize,
    /// Columns of a panel.
    columns: usize,
    panels: usize,
    /// Words of a row.
    steps: usize,
    /// Words of a block but the last.
    block_steps: usize,
}

impl Geometry {
    fn new<S: Simd>(cpu: Cpu, precision: Precision, inputs: usize, outputs: usize) -> Self {
        let mut steps = inputs.div_ceil(precision.per_word());
        // Blocks of about the same size.
        let mut block_steps = steps.div_ceil(steps.div_ceil(block_steps::<S>()));
        if has_tiles(cpu, precision) {
            // Whole tiles, with words of zeros, and all of a row at once.
            steps = steps.next_multiple_of(16);
            block_steps = steps;
        }
        Self {
            rows: S::TILE_ROWS,
            columns: S::TILE_COLUMNS,
            panels: outputs.div_ceil(S::TILE_COLUMNS),
            steps,
            block_steps,
        }
    }

    fn blocks(self) -> usize {
        self.steps.div_ceil(self.block_steps)
    }

    /// Steps of a block.
    fn steps_of(self, block: usize) -> Range<usize> {
        block * self.block_steps..((block + 1) * self.block_steps).min(self.steps)
    }

    /// Where a block's panel is packed.
    fn panel(self, block: usize, panel: usize) -> Range<usize> {
        let steps = self.steps_of(block);
        let start = (steps.start * self.panels + panel * steps.len()) * self.columns;
        start..start + steps.len() * self.columns
    }
}

impl Linear {
    /// Packs weights, `[outputs, inputs]` row by row as `torch.nn.Linear` has them, with a bias for each output.
    ///
    /// ```
    /// # use imbed_kernels::{Cpu, Error, Linear, Precision};
    /// let wrong = Linear::pack(Cpu::detect()?, Precision::F32, &[1.0; 7], 3, None);
    /// assert!(matches!(wrong, Err(Error::Size { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn pack(
        cpu: Cpu,
        precision: Precision,
        weights: &[f32],
        inputs: usize,
        bias: Option<&[f32]>,
    ) -> Result<Self, Error> {
        Self::pack_on(cpu, precision, weights, inputs, bias, &Alone)
    }

    /// As [`pack`](Self::pack), shared out: a pool's threads read the weights, which may be a file that is mapped.
    pub fn pack_on(
        cpu: Cpu,
        precision: Precision,
        weights: &[f32],
        inputs: usize,
        bias: Option<&[f32]>,
        pool: &dyn Pool,
    ) -> Result<Self, Error> {
        check(inputs > 0 && !weights.is_empty(), "a layer has inputs and outputs")?;
        check(weights.len().is_multiple_of(inputs), "weights are whole rows of inputs")?;
        // More would not fit the whole numbers that products of bytes are summed in.
        check(inputs <= 1 << 16, "a layer has at most 65536 inputs")?;
        let outputs = weights.len() / inputs;
        if let Some(bias) = bias {
            check_length("bias", outputs, bias.len())?;
        }
        Ok(pack::Pack { cpu, precision, weights, inputs, outputs, bias: bias.unwrap_or_default() }.run(pool))
    }

    /// Values in a row that comes in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Values in a row that goes out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// What it computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Applies the layer to rows `x`, `[rows, inputs]`, and writes or adds to `y`, `[rows, outputs]`.
    pub fn apply(&self, x: &[f32], y: &mut [f32], then: Then, pool: &dyn Pool) -> Result<(), Error> {
        self.apply_mixed(x, y, then, pool)
    }

    /// As [`apply`](Self::apply), to rows that are bf16 already.
    pub fn apply_bf16(&self, x: &[bf16], y: &mut [f32], then: Then, pool: &dyn Pool) -> Result<(), Error> {
        self.apply_mixed(x, y, then, pool)
    }

    /// As [`apply`](Self::apply), with rows and results in f32 or bf16 each. Results are rounded once, at the end.
    ///
    /// ```
    /// # use half::bf16;
    /// # use imbed_kernels::{Activation, Alone, Cpu, Error, Linear, Precision, Then};
    /// let linear = Linear::pack(Cpu::detect()?, Precision::Bf16, &[1.0, 2.0], 2, None)?;
    /// let mut y = [bf16::ZERO];
    /// linear.apply_mixed(&[3.0_f32, 4.0], &mut y, Then::Activate(Activation::Identity), &Alone)?;
    /// assert_eq!(y[0].to_f32(), 11.0);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn apply_mixed<X: Value, Y: Value>(
        &self,
        x: &[X],
        y: &mut [Y],
        then: Then,
        pool: &dyn Pool,
    ) -> Result<(), Error> {
        check(x.len().is_multiple_of(self.inputs), "the input is whole rows")?;
        check_length("output", x.len() / self.inputs * self.outputs, y.len())?;
        let (y, width) = (Y::values_mut(y), self.inputs);
        match X::values(x) {
            Values::F32(values) => self.apply_to(&Rows { values, width }, y, then, pool),
            Values::Bf16(values) => self.apply_to(&Rows { values, width }, y, then, pool),
        }
        Ok(())
    }

    /// Applies the layer to the patches of images. `y`, `[images, patches.skipped + patches of an image, outputs]`, is left as it
    /// is where tokens are skipped.
    pub fn apply_patches(
        &self,
        patches: &Patches<'_>,
        y: &mut [f32],
        then: Then,
        pool: &dyn Pool,
    ) -> Result<(), Error> {
        patches.check()?;
        check_length("values of a patch", self.inputs, patches.values())?;
        check_length("output", patches.tokens().saturating_mul(self.outputs), y.len())?;
        self.apply_to(patches, ValuesMut::F32(y), then, pool);
        Ok(())
    }

    /// What is read and written has been checked by now.
    fn apply_to(&self, source: &dyn Source, y: ValuesMut<'_>, then: Then, pool: &dyn Pool) {
        let rows = source.rows();
        if rows == 0 {
            return;
        }
        let (unit, most) = self.rows_at_once();
        let cut = Cut::new(rows.div_ceil(unit), most / unit, self.geometry.panels, pool.workers().max(1));
        let part = |task| {
            let units = cut.units(task);
            (units.start * unit..(units.end * unit).min(rows), cut.panels(task))
        };
        match y {
            ValuesMut::F32(y) => {
                let y = &Shared::new(y);
                run_once(pool, cut.high * cut.wide, |task| {
                    let (rows, panels) = part(task);
                    if !self.on_tiles(source, y, &rows, &panels, then) {
                        run(self.cpu, Block { linear: self, source, y, rows, panels, then });
                    }
                });
            }
            ValuesMut::Bf16(y) => {
                let y = &Shared::new(y);
                run_once(pool, cut.high * cut.wide, |task| {
                    let (rows, panels) = part(task);
                    if self.on_tiles(source, y, &rows, &panels, then) {
                        return;
                    }
                    if self.geometry.blocks() == 1 {
                        run(self.cpu, Block { linear: self, source, y, rows, panels, then });
                    } else {
                        Narrow { linear: self, source, y, rows, panels, then }.run();
                    }
                });
            }
        }
    }

    /// Does a task on tiles, where the level and the precision have them.
    #[cfg(target_arch = "x86_64")]
    fn on_tiles<Y: Lanes>(
        &self,
        source: &dyn Source,
        y: &Shared<'_, Y>,
        rows: &Range<usize>,
        panels: &Range<usize>,
        then: Then,
    ) -> bool {
        has_tiles(self.cpu, self.precision)
            && run_amx(
                self.cpu,
                tiles::TileBlock { linear: self, source, y, rows: rows.clone(), panels: panels.clone(), then },
            )
    }

    /// Does a task on tiles, which no processor here has.
    #[cfg(not(target_arch = "x86_64"))]
    fn on_tiles<Y>(&self, _: &dyn Source, _: &Shared<'_, Y>, _: &Range<usize>, _: &Range<usize>, _: Then) -> bool {
        false
    }

    /// Rows that are multiplied together, and how many a task has at most.
    fn rows_at_once(&self) -> (usize, usize) {
        #[cfg(target_arch = "x86_64")]
        if has_tiles(self.cpu, self.precision) {
            return (amx::SIDE, tiles::rows(self.geometry.steps));
        }
        (self.geometry.rows, block::ROWS)
    }
}

/// Whether products of a precision run on tiles.
fn has_tiles(cpu: Cpu, precision: Precision) -> bool {
    cpu.level() == Level::Amx && precision != Precision::F32
}

/// How the rows and panels of a product are shared out.
struct Cut {
    units: usize,
    high: usize,
    panels: usize,
    wide: usize,
}

impl Cut {
    /// Of `units` of rows, of which a task has `most` at most.
    fn new(units: usize, most: usize, panels: usize, workers: usize) -> Self {
        let most = most.max(1);
        // Rows are staged once for each task, so columns are shared out only where rows are few.
        let (high, wide) = if units <= most && units < 8 * workers {
            (1, workers.min(panels))
        } else {
            (units.div_ceil(most).next_multiple_of(workers).min(units), 1)
        };
        Self { units, high, panels, wide }
    }

    fn units(&self, task: usize) -> Range<usize> {
        share(self.units, self.high, task / self.wide)
    }

    fn panels(&self, task: usize) -> Range<usize> {
        share(self.panels, self.wide, task % self.wide)
    }
}
