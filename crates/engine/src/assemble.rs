//! The end of the pipeline: vectors find their rows, and chunks leave whole and in order.

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use arrow_buffer::{BooleanBufferBuilder, NullBuffer};
use imbed_core::{Result, arrow::embeddings_from_parts};

use crate::{
    budget::Budget,
    output::{EmbeddedChunk, RowError},
    report::Event,
};

/// Chunks that are not whole yet, in input order.
#[derive(Debug)]
pub(crate) struct Assembler {
    size: usize,
    first: u64,
    pending: VecDeque<Pending>,
    /// Whether all of the input has entered.
    ended: bool,
}

#[derive(Debug)]
struct Pending {
    batch: RecordBatch,
    bytes: usize,
    /// `[rows, size]`; zeros where a row is null.
    values: Vec<f32>,
    valid: BooleanBufferBuilder,
    errors: Vec<RowError>,
    copies: usize,
    left: usize,
}

impl Assembler {
    /// For vectors of `size` numbers.
    pub(crate) fn new(size: usize) -> Self {
        Self { size, first: 0, pending: VecDeque::new(), ended: false }
    }

    /// Whether all of the input has entered, and has left.
    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.pending.is_empty()
    }

    /// Takes in what a stage reported; the error of a run that is over.
    pub(crate) fn accept(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Fatal(error) => return Err(error),
            Event::End => self.ended = true,
            Event::Start { batch, source } => {
                let rows = batch.num_rows();
                let mut valid = BooleanBufferBuilder::new(rows);
                valid.append_n(rows, false);
                self.pending.push_back(Pending {
                    batch,
                    bytes: source.bytes,
                    values: vec![0.0; rows * self.size],
                    valid,
                    errors: Vec::new(),
                    copies: 0,
                    left: rows,
                });
            }
            Event::Null(slot) => self.chunk(slot.source.chunk).left -= 1,
            Event::Failed { chunk, error } => {
                let chunk = self.chunk(chunk);
                chunk.errors.push(error);
                chunk.left -= 1;
            }
            Event::Vectors { slots, vectors, copies } => {
                let size = self.size;
                for (slot, vector) in slots.iter().zip(vectors.chunks_exact(size)) {
                    let chunk = self.chunk(slot.source.chunk);
                    chunk.values[slot.row * size..][..size].copy_from_slice(vector);
                    chunk.valid.set_bit(slot.row, true);
                    chunk.copies += usize::from(copies);
                    chunk.left -= 1;
                }
            }
        }
        Ok(())
    }

    /// The next chunk, if it is whole. Its bytes go back to the budget.
    pub(crate) fn take(&mut self, budget: &Budget) -> Option<Result<EmbeddedChunk>> {
        if self.pending.front()?.left > 0 {
            return None;
        }
        let mut chunk = self.pending.pop_front()?;
        self.first += 1;
        budget.release(chunk.bytes);
        // Rows may fail in the preparing stage or, later, in the model.
        chunk.errors.sort_by_key(|e| e.row);
        let valid = NullBuffer::new(chunk.valid.finish());
        let valid = (valid.null_count() > 0).then_some(valid);
        Some(embeddings_from_parts(chunk.values, valid, self.size).map(|embeddings| EmbeddedChunk {
            batch: chunk.batch,
            embeddings,
            errors: chunk.errors,
            copies: chunk.copies,
        }))
    }

    /// A chunk that is under way: events of a chunk come after its start and before it is whole.
    fn chunk(&mut self, chunk: u64) -> &mut Pending {
        &mut self.pending[(chunk - self.first) as usize]
    }
}
