//! A run can be stopped.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::Schema;
use imbed_core::{ErrorKind, ImageEmbedderDescriptor, Result};
use imbed_engine::{Chunk, EmbedStream, Engine, Images};

use super::always;
use crate::{
    Behaviour, Trouble,
    behaviour::{Check, ensure},
    bench::{Bench, column},
    pictures::{pictures, pngs},
};

pub(super) const BEHAVIOUR: Behaviour = Behaviour {
    name: "cancellation",
    promise: "a run that is cancelled or dropped ends soon, although its input has no end, and the model stays usable",
    cannot: always,
    check,
};

fn check(bench: &Bench) -> Check {
    let options = [("batch_size", "2")];
    let descriptor = match bench.subject.stage(Trouble::Slow) {
        Some(staged) => {
            let staged = staged?;
            bench.describe_model(&staged.model, &staged.options, &options)?
        }
        None => bench.describe(&options)?,
    };
    let engine = Engine::builder(Arc::clone(&descriptor)).build()?;
    let mut stream = endless(&engine)?;
    let first = stream.next().ok_or("the run gave nothing back")??;
    ensure!(first.errors.is_empty(), "a good image failed: {}", first.errors[0]);

    let cancel = stream.cancel_handle();
    let start = Instant::now();
    cancel.cancel();
    let error = stream.find_map(Result::err).ok_or("the cancelled run ended as if it were whole")?;
    ensure!(error.kind() == ErrorKind::Cancelled, "it ended with another error: {error}");
    drop(stream);
    in_time(bench, start.elapsed(), "after it was cancelled")?;

    let dropped = endless(&engine)?;
    std::thread::sleep(Duration::from_millis(50));
    let start = Instant::now();
    drop(dropped);
    in_time(bench, start.elapsed(), "after it was dropped")?;

    still_works(&engine, descriptor.as_ref())
}

fn in_time(bench: &Bench, took: Duration, when: &str) -> Check {
    let patience = bench.subject.patience;
    ensure!(took <= patience, "the run took {took:.1?} to end {when}, over {patience:.1?}");
    Ok(())
}

fn still_works(engine: &Engine, descriptor: &dyn ImageEmbedderDescriptor) -> Check {
    let file = column(&[pngs(&pictures(1)?)?.pop()]);
    let embedded = engine.embed_array(file.into())?;
    let (length, known) = (embedded.embeddings.value_length(), descriptor.dimensions().size);
    ensure!(length as usize == known, "after a cancelled run the vectors have {length} numbers, not {known}");
    Ok(())
}

/// A run over an input that never ends.
fn endless(engine: &Engine) -> Result<EmbedStream> {
    let files: Vec<_> = pngs(&pictures(4)?)?.into_iter().map(Some).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options)
        .map_err(|e| imbed_core::Error::new(ErrorKind::Internal, e.to_string()))?;
    let chunk = Chunk { batch, images: Images::Encoded(column(&files)), labels: None, first_row: None };
    engine.embed_stream(std::iter::repeat_with(move || Ok(chunk.clone())))
}
