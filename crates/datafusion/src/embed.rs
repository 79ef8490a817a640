//! Where rows meet the model: the plan node, the rule that puts it there, and what both share with a plain call.

mod bind;
mod exec;
mod fuse;
mod rule;
mod size;
mod source;
mod stream;

use std::sync::Arc;

use arrow_array::ArrayRef;
use imbed_core::{Result, options::OnError};
use imbed_engine::Images;

use crate::pipeline::{Embedded, Producer};

pub(crate) use bind::BindRule;
pub(crate) use exec::{EmbedCall, EmbedExec};
pub(crate) use fuse::Fused;
pub(crate) use rule::EmbedRule;
pub(crate) use source::Source;

/// What becomes of rows that fail, and how messages name them.
#[derive(Debug, Clone)]
pub(crate) struct Failures {
    pub(crate) on_error: OnError,
    /// Rows before the images in whatever `place` names.
    pub(crate) first_row: u64,
    pub(crate) place: String,
}

/// The vectors of `images` as a column.
pub(crate) async fn embed(
    producer: Producer,
    images: Images,
    labels: Option<ArrayRef>,
    failures: &Failures,
) -> Result<ArrayRef> {
    let Embedded { embeddings, errors } = producer.embed(images, labels).await?;
    for error in errors {
        let row = failures.first_row + error.row as u64;
        let place = match &error.label {
            Some(label) => format!("row {row} {} ({label})", failures.place),
            None => format!("row {row} {}", failures.place),
        };
        match failures.on_error {
            OnError::Raise => {
                let hint = error
                    .error
                    .hint_text()
                    .unwrap_or("on_error => 'ignore' (or 'log') makes such rows null and goes on");
                let hint = hint.to_owned();
                return Err(error.error.context(place).hint(hint));
            }
            OnError::Log => tracing::warn!("{place}: {}: {}", error.error.kind(), error.error.message()),
            OnError::Ignore => {}
        }
    }
    Ok(Arc::new(embeddings))
}
