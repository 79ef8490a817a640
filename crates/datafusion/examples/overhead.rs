//! What the plan costs: images per second of `SELECT embed_image(image) FROM images('…')` beside those of the engine alone, which
//! is given the paths of the same files. In turns, on one loaded model each.
//!
//!     cargo run --release -p imbed-datafusion --example overhead -- MODEL PHOTOS [ROUNDS]

use std::{sync::Arc, time::Instant};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::Schema;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use imbed_core::{Error, ErrorKind, Registry, Result, Session, options::OptionMap, session::Request};
use imbed_datafusion::{Imbed, cause};
use imbed_engine::{Chunk, Engine, Images, files};
use imbed_provider_candle as _;

/// Rows that the engine is given at once.
const ROWS: usize = 256;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, photos, rest @ ..] = arguments.as_slice() else {
        return Err(wrong("a model and a folder of photos are wanted"));
    };
    let rounds: usize = match rest {
        [] => 5,
        [rounds, ..] => rounds.parse().map_err(|e| wrong(format!("the number of rounds: {e}")))?,
    };
    let session = Session::new(Registry::linked());
    // Photos may be there several times, to make a larger folder.
    let options = OptionMap::from_iter([("dedupe", "false")]);
    let request = Request { provider: None, model: Some(model.clone()), options };
    let engine = Engine::builder(session.resolve(&request)?.descriptor).build()?;
    let context = Imbed::new(session).context();
    let runtime = tokio::runtime::Runtime::new().map_err(|e| Error::io("cannot start threads", e))?;
    let query = format!("SELECT embed_image(image, '{model}', dedupe => false) AS embedding FROM images('{photos}')");

    let mut seconds = [Vec::new(), Vec::new()];
    // The first round also loads the model and the files, and is not counted.
    for round in 0..=rounds {
        let start = Instant::now();
        let rows = alone(&engine, photos)?;
        let first = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let planned = runtime.block_on(planned(&context, &query))?;
        let second = start.elapsed().as_secs_f64();
        if planned != rows {
            return Err(wrong(format!("the engine gave {rows} vectors and the plan {planned}")));
        }
        if round > 0 {
            println!("{rows} images: engine {:.2} images/s, plan {:.2}", rows as f64 / first, rows as f64 / second);
            seconds[0].push(first);
            seconds[1].push(second);
        }
    }
    let median = |seconds: &mut Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    };
    let [mut engine, mut plan] = seconds;
    println!("plan / engine: median {:.4}, best {:.4}", median(&mut engine) / median(&mut plan), engine[0] / plan[0]);
    Ok(())
}

/// The vectors that the engine makes of the files, counted.
fn alone(engine: &Engine, photos: &str) -> Result<usize> {
    let paths: Vec<String> = files::images(photos)?.collect::<Result<_>>()?;
    let chunks: Vec<Result<Chunk>> = paths.chunks(ROWS).map(chunk).collect();
    let mut rows = 0;
    for chunk in engine.embed_stream(chunks)? {
        rows += chunk?.embeddings.len();
    }
    Ok(rows)
}

fn chunk(paths: &[String]) -> Result<Chunk> {
    let options = RecordBatchOptions::new().with_row_count(Some(paths.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)
        .map_err(|e| wrong(e.to_string()))?;
    let paths: ArrayRef = Arc::new(StringArray::from_iter_values(paths));
    Ok(Chunk { batch, images: Images::Paths(paths), labels: None, first_row: None })
}

/// The rows of the query, counted.
async fn planned(context: &SessionContext, query: &str) -> Result<usize> {
    let table = context.sql(query).await.map_err(|e| cause(&e))?;
    let mut batches = table.execute_stream().await.map_err(|e| cause(&e))?;
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        rows += batch.map_err(|e| cause(&e))?.num_rows();
    }
    Ok(rows)
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::BadInput, what.into())
}
