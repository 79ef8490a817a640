//! What the stages say of their rows.

use std::sync::Arc;

use arrow_array::RecordBatch;
use crossbeam_channel::Sender;
use imbed_core::{Error, options::OnError};

use crate::{
    copies::Settled,
    metrics::Metrics,
    output::RowError,
    rows::{Slot, Source},
};

/// What the stages tell the assembler.
#[derive(Debug)]
pub(crate) enum Event {
    /// A chunk entered; sent before any of its rows.
    Start { batch: RecordBatch, source: Arc<Source> },
    /// A row without an image.
    Null(Slot),
    /// A row that failed and becomes null.
    Failed { chunk: u64, error: RowError },
    /// Vectors, `[slots, size]`, row-major.
    Vectors { slots: Vec<Slot>, vectors: Vec<f32>, copies: bool },
    /// The run ends with this error.
    Fatal(Error),
    /// All of the input has entered. A run that ends without it has lost rows.
    End,
}

/// How the stages report rows: the one place that knows what a failing row does. Every method is `false` once the run is
/// over.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) events: Sender<Event>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) on_error: OnError,
}

impl Report {
    pub(crate) fn null(&self, slot: &Slot) -> bool {
        self.metrics.add_null();
        self.events.send(Event::Null(slot.clone())).is_ok()
    }

    pub(crate) fn failed(&self, slot: &Slot, error: Error) -> bool {
        let kind = error.kind();
        self.metrics.add_error(kind);
        let error = slot.source.row_error(slot.row, error);
        match self.on_error {
            OnError::Raise => return self.fatal(error.into_error()),
            OnError::Log => tracing::warn!(row = error.absolute_row, "error.type" = kind.as_str(), "{error}"),
            OnError::Ignore => {}
        }
        self.events.send(Event::Failed { chunk: slot.source.chunk, error }).is_ok()
    }

    pub(crate) fn vectors(&self, slots: Vec<Slot>, vectors: Vec<f32>) -> bool {
        self.metrics.add_embedded(slots.len());
        self.events.send(Event::Vectors { slots, vectors, copies: false }).is_ok()
    }

    /// A row whose vector was known before the run.
    pub(crate) fn cached(&self, slot: Slot, vector: &[f32]) -> bool {
        self.metrics.add_cached();
        self.events.send(Event::Vectors { slots: vec![slot], vectors: vector.to_vec(), copies: false }).is_ok()
    }

    /// Rows whose image is that of an earlier row.
    pub(crate) fn copies(&self, slots: Vec<Slot>, outcome: &Settled) -> bool {
        match outcome {
            Settled::Vector(vector) => {
                self.metrics.add_copies(slots.len());
                let vectors = vector.repeat(slots.len());
                self.events.send(Event::Vectors { slots, vectors, copies: true }).is_ok()
            }
            Settled::Null => slots.iter().all(|slot| self.null(slot)),
            Settled::Failed(error) => slots.iter().all(|slot| self.failed(slot, error.clone())),
        }
    }

    pub(crate) fn fatal(&self, error: Error) -> bool {
        // A failed send means that the run ended before, with another error or by the caller's wish.
        let _ = self.events.send(Event::Fatal(error));
        false
    }
}
