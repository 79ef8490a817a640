//! The middle stage: prepared rows, back in input order, become batches of consecutive rows.

use std::{collections::BTreeMap, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use imbed_core::{EncodedImage, Error, ErrorKind, ImageBatch, PixelBatch, Result};

use crate::{
    budget::Budget,
    copies::{Claim, Joined, Original, Settled},
    metrics::Queue,
    prepare::Prepared,
    report::Report,
    rows::{Row, Slot},
};

/// A batch that is not full runs once so many copies of its rows wait, times the rows of a full batch: they must not be many.
const COPIES_PER_ROW: usize = 4;

/// A row that left the preparing stage.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) sequence: u64,
    pub(crate) slot: Slot,
    /// The row's image, where images are told apart and it has one.
    pub(crate) claim: Option<Claim>,
    pub(crate) result: Result<Option<Prepared>>,
}

/// The images of one call of the model.
#[derive(Debug)]
pub(crate) enum Images {
    Pixels(PixelBatch),
    Encoded(Vec<EncodedImage>),
}

impl Images {
    pub(crate) fn as_batch(&self) -> ImageBatch<'_> {
        match self {
            Self::Pixels(pixels) => ImageBatch::Pixels(pixels),
            Self::Encoded(images) => ImageBatch::Encoded(images),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.as_batch().len()
    }

    /// The images `range` as a batch of their own.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> Self {
        match self {
            Self::Pixels(pixels) => Self::Pixels(pixels.slice(range)),
            Self::Encoded(images) => Self::Encoded(images[range].to_vec()),
        }
    }
}

/// A batch on its way to the model.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) images: Images,
    /// One per image.
    pub(crate) rows: Vec<Row>,
}

/// What a batch holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layout {
    /// Pixels of one height and width.
    Uniform(usize, usize),
    /// Pixels, each image of a size of its own.
    Ragged,
    /// Encoded files.
    Encoded,
}

/// How rows are batched.
#[derive(Debug)]
pub(crate) struct Batcher {
    pub(crate) batch_size: usize,
    pub(crate) layout: Layout,
    /// Bytes that each row holds of the budget.
    pub(crate) row_bytes: usize,
    /// How long rows wait for others while the model has nothing to do; `None` until their batch is full or the input ends.
    pub(crate) linger: Option<Duration>,
    /// Batches that are in the model or on their way to it, at most.
    pub(crate) under_way: usize,
}

impl Batcher {
    /// Batches `done` into `batches` until the input ends, the run is stopped, or a row stops it.
    pub(crate) fn run(&self, done: &Receiver<Done>, batches: &Sender<Batch>, budget: &Budget, report: &Report) {
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        let mut filling = Filling { batcher: self, batches, budget, report, batch: self.empty(), number: 0, copies: 0 };
        loop {
            let row = match self.receive(done, filling.batch.rows.is_empty()) {
                Ok(row) => row,
                Err(RecvTimeoutError::Disconnected) => break,
                // While the model is busy, waiting costs nothing and makes the batch fuller.
                Err(RecvTimeoutError::Timeout) if batches.is_full() => continue,
                Err(RecvTimeoutError::Timeout) if filling.send() => continue,
                Err(RecvTimeoutError::Timeout) => return,
            };
            report.metrics.left(Queue::Batch);
            waiting.insert(row.sequence, row);
            while let Some(row) = waiting.remove(&next) {
                next += 1;
                if !filling.row(row) {
                    return;
                }
            }
        }
        if !filling.batch.rows.is_empty() {
            filling.send();
        }
    }

    /// The next row, or a timeout if rows have waited for it long enough.
    fn receive(&self, done: &Receiver<Done>, nobody_waits: bool) -> Result<Done, RecvTimeoutError> {
        match self.linger {
            Some(linger) if !nobody_waits => done.recv_timeout(linger),
            _ => done.recv().map_err(RecvTimeoutError::from),
        }
    }

    fn empty(&self) -> Batch {
        let images = match self.layout {
            Layout::Uniform(height, width) => Images::Pixels(PixelBatch::with_capacity(self.batch_size, height, width)),
            Layout::Ragged => Images::Pixels(PixelBatch::ragged(self.batch_size)),
            Layout::Encoded => Images::Encoded(Vec::with_capacity(self.batch_size)),
        };
        Batch { images, rows: Vec::with_capacity(self.batch_size) }
    }

    /// Copies of rows of one batch that may wait until it is full.
    fn copies_of_a_batch(&self) -> usize {
        COPIES_PER_ROW * self.batch_size
    }

    /// Copies that may wait, of rows of all batches. More than wait for the batch that is being filled, so whoever waits for their
    /// number to fall waits for batches that are under way.
    fn copies(&self) -> usize {
        self.copies_of_a_batch() * (self.under_way + 1)
    }
}

/// The batch that is being filled.
struct Filling<'a> {
    batcher: &'a Batcher,
    batches: &'a Sender<Batch>,
    budget: &'a Budget,
    report: &'a Report,
    batch: Batch,
    /// Which batch, from 0.
    number: u64,
    /// Copies of its rows that wait.
    copies: usize,
}

/// Each method is `false` if the run is over.
impl Filling<'_> {
    /// The next row in input order.
    fn row(&mut self, Done { slot, claim, result, .. }: Done) -> bool {
        let original = claim.as_ref().and_then(|claim| claim.original.clone());
        let original = original.as_deref();
        match result {
            Ok(Some(Prepared::Copy)) => match original {
                Some(original) => self.copy(slot, original),
                None => self.report.fatal(Error::new(ErrorKind::Internal, "a copy of no row reached the batches")),
            },
            Ok(Some(Prepared::Vector(vector))) => match original {
                Some(original) if !original.take(self.number) => self.copy(slot, original),
                _ => {
                    if let Some(original) = original {
                        original.settle(Settled::Vector(vector.clone()));
                    }
                    self.without_image() && self.report.cached(slot, &vector)
                }
            },
            Ok(Some(prepared)) => match original {
                Some(original) if !original.take(self.number) => self.copy(slot, original),
                _ => self.push(prepared, Row { slot, claim }),
            },
            Ok(None) => {
                self.settle(original, || Settled::Null);
                self.without_image() && self.report.null(&slot)
            }
            Err(error) => {
                self.settle(original, || Settled::Failed(error.clone()));
                self.without_image() && self.report.failed(&slot, error)
            }
        }
    }

    /// Says what became of an image that needs no model. Nobody waits for it: its first row is this one.
    fn settle(&self, original: Option<&Original>, outcome: impl FnOnce() -> Settled) {
        if let Some(original) = original.filter(|original| original.take(self.number)) {
            original.settle(outcome());
        }
    }

    /// A row whose image an earlier row has.
    fn copy(&mut self, slot: Slot, original: &Original) -> bool {
        self.without_image();
        if let Some(outcome) = original.settled() {
            return self.report.copies(vec![slot], &outcome);
        }
        if !self.budget.copy_waits(self.batcher.copies()) {
            return false;
        }
        match original.join(slot) {
            Joined::Settled(slot, outcome) => {
                self.budget.copies_left(1);
                self.report.copies(vec![slot], &outcome)
            }
            Joined::Waits(batch) => {
                self.copies += usize::from(batch == Some(self.number));
                self.copies < self.batcher.copies_of_a_batch() || self.send()
            }
        }
    }

    fn push(&mut self, prepared: Prepared, row: Row) -> bool {
        match (&mut self.batch.images, prepared) {
            (Images::Pixels(pixels), Prepared::Pixels { data, height, width }) => pixels.push(&data, height, width),
            (Images::Encoded(images), Prepared::Encoded(image)) => images.push(image),
            _ => {
                let what = "a row was prepared for another kind of model";
                return self.report.fatal(Error::new(ErrorKind::Internal, what));
            }
        }
        self.batch.rows.push(row);
        self.batch.rows.len() < self.batcher.batch_size || self.send()
    }

    /// Sends the batch and starts another.
    fn send(&mut self) -> bool {
        let full = std::mem::replace(&mut self.batch, self.batcher.empty());
        (self.number, self.copies) = (self.number + 1, 0);
        let rows = full.rows.len();
        self.report.metrics.entered(Queue::Model);
        let sent = self.batches.send(full).is_ok();
        self.budget.rows_left(rows);
        sent
    }

    fn without_image(&self) -> bool {
        self.budget.rows_left(1);
        self.budget.release(self.batcher.row_bytes);
        true
    }
}
