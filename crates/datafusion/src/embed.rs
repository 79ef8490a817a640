//! Where rows meet the model: the plan node, the rule that puts it there, and what both share with a plain call.

mod bind;
mod columns;
mod exec;
mod fuse;
mod lift;
mod limit;
mod rule;
mod scan;
mod size;
mod source;
mod spread;
mod stream;

use std::sync::Arc;

use arrow_array::ArrayRef;
use datafusion::physical_plan::{ExecutionPlan, metrics::Count};
use imbed_core::{Result, options::OnError};
use imbed_engine::Images;

use crate::{
    function::in_a_query,
    pipeline::{Embedded, Producer},
};

pub(crate) use bind::BindRule;
pub(crate) use exec::{EmbedCall, EmbedExec};
pub(crate) use fuse::Fused;
pub(crate) use rule::EmbedRule;
pub(crate) use scan::ScanRule;
pub(crate) use source::Source;
pub(crate) use spread::SpreadRule;

/// The metric that counts rows which failed.
pub(crate) const FAILED_ROWS: &str = "failed_rows";

/// The metric that counts rows whose image an earlier row of the process's pipeline has, so that it was not embedded again.
pub(crate) const COPIED_ROWS: &str = "copied_rows";

/// Rows that failed and became null in what has run of `plan`.
///
/// ```text
/// EXPLAIN ANALYZE SELECT embed_image(image, on_error => 'ignore') …    -- EmbedExec: …, metrics=[…, failed_rows=2]
/// ```
pub fn failed_rows(plan: &dyn ExecutionPlan) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.sum_by_name(FAILED_ROWS)).map_or(0, |sum| sum.as_usize());
    own + plan.children().into_iter().map(|child| failed_rows(child.as_ref())).sum::<usize>()
}

/// Rows that have passed through `embed_image` in what has run of `plan`; `None` if it does not call it.
pub fn embedded_rows(plan: &dyn ExecutionPlan) -> Option<usize> {
    let own = plan.is::<EmbedExec>().then(|| plan.metrics().and_then(|m| m.output_rows()).unwrap_or(0));
    let below = plan.children().into_iter().filter_map(|child| embedded_rows(child.as_ref()));
    own.into_iter().chain(below).reduce(|a, b| a + b)
}

/// What becomes of rows that fail, and how messages name them.
#[derive(Debug, Clone)]
pub(crate) struct Failures {
    pub(crate) on_error: OnError,
    /// Rows before the images in whatever `place` names.
    pub(crate) first_row: u64,
    pub(crate) place: String,
    /// How many there were.
    pub(crate) count: Count,
}

/// The vectors of `images` as a column. Adds to `copies` how many of them are those of earlier rows.
pub(crate) async fn embed(
    producer: Producer,
    images: Images,
    labels: Option<ArrayRef>,
    failures: &Failures,
    copies: &Count,
) -> Result<ArrayRef> {
    let Embedded { embeddings, errors, copies: copied } = producer.embed(images, labels).await?;
    copies.add(copied);
    failures.count.add(errors.len());
    for error in errors {
        let row = failures.first_row + error.row as u64;
        let place = match &error.label {
            Some(label) => format!("row {row} {} ({label})", failures.place),
            None => format!("row {row} {}", failures.place),
        };
        match failures.on_error {
            OnError::Raise => return Err(in_a_query(error.error).context(place)),
            OnError::Log => tracing::warn!("{place}: {}: {}", error.error.kind(), error.error.message()),
            OnError::Ignore => {}
        }
    }
    Ok(Arc::new(embeddings))
}
