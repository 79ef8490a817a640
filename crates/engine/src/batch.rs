//! The middle stage: prepared rows, back in input order, become batches of consecutive rows.

use std::{collections::BTreeMap, time::Duration};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use imbed_core::{EncodedImage, Error, ErrorKind, ImageBatch, PixelBatch, Result};

use crate::{budget::Budget, prepare::Prepared, report::Report, rows::Slot};

/// A row that left the preparing stage.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) sequence: u64,
    pub(crate) slot: Slot,
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
    pub(crate) slots: Vec<Slot>,
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
}

impl Batcher {
    /// Batches `done` into `batches` until the input ends, the run is stopped, or a row stops it.
    pub(crate) fn run(&self, done: &Receiver<Done>, batches: &Sender<Batch>, budget: &Budget, report: &Report) {
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        let mut batch = self.empty();
        loop {
            let row = match self.receive(done, batch.slots.is_empty()) {
                Ok(row) => row,
                Err(RecvTimeoutError::Disconnected) => break,
                // While the model is busy, waiting costs nothing and makes the batch fuller.
                Err(RecvTimeoutError::Timeout) if batches.is_full() => continue,
                Err(RecvTimeoutError::Timeout) if self.send(&mut batch, batches, budget) => continue,
                Err(RecvTimeoutError::Timeout) => return,
            };
            waiting.insert(row.sequence, row);
            while let Some(Done { slot, result, .. }) = waiting.remove(&next) {
                next += 1;
                let keep_on = match result {
                    Ok(Some(prepared)) => match push(&mut batch, prepared, slot) {
                        Ok(()) => batch.slots.len() < self.batch_size || self.send(&mut batch, batches, budget),
                        Err(error) => report.fatal(error),
                    },
                    Ok(None) => self.without_image(budget) && report.null(&slot),
                    Err(error) => self.without_image(budget) && report.failed(&slot, error),
                };
                if !keep_on {
                    return;
                }
            }
        }
        if !batch.slots.is_empty() {
            self.send(&mut batch, batches, budget);
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
        Batch { images, slots: Vec::with_capacity(self.batch_size) }
    }

    /// Sends the batch and starts another; `false` if nobody takes it any more.
    fn send(&self, batch: &mut Batch, batches: &Sender<Batch>, budget: &Budget) -> bool {
        let full = std::mem::replace(batch, self.empty());
        let rows = full.slots.len();
        let sent = batches.send(full).is_ok();
        budget.rows_left(rows);
        sent
    }

    fn without_image(&self, budget: &Budget) -> bool {
        budget.rows_left(1);
        budget.release(self.row_bytes);
        true
    }
}

fn push(batch: &mut Batch, prepared: Prepared, slot: Slot) -> Result<()> {
    match (&mut batch.images, prepared) {
        (Images::Pixels(pixels), Prepared::Pixels { data, height, width }) => pixels.push(&data, height, width),
        (Images::Encoded(images), Prepared::Encoded(image)) => images.push(image),
        _ => return Err(Error::new(ErrorKind::Internal, "a row was prepared for another kind of model")),
    }
    batch.slots.push(slot);
    Ok(())
}
