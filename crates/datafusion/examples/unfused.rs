//! Why image functions are fused with the model: the peak memory of one query over large photos, with this crate's plan node or with
//! DataFusion's own, which is handed whole columns of decoded images.
//!
//!     cargo run --release -p imbed-datafusion --example unfused -- PHOTOS fused|unfused
//!
//! One plan per process, as the peak is the process's. Linux tells it.

use datafusion::{execution::SessionStateBuilder, prelude::SessionContext};
use futures::StreamExt;
use imbed_core::{Error, ErrorKind, Registry, Result, Session};
use imbed_datafusion::{Imbed, cause};
use imbed_provider_candle as _;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [photos, plan] = arguments.as_slice() else {
        return Err(Error::new(ErrorKind::BadInput, "a folder of photos is wanted, and fused or unfused"));
    };
    let context = Imbed::new(Session::new(Registry::linked())).context();
    let context = if plan == "fused" { context } else { without_rule(&context) };
    let query = format!(
        "SELECT embed_image(resize_image(convert_image(decode_image(image), 'RGB'), 2000, 1500), dedupe => false) AS e \
         FROM images('{photos}')"
    );
    let runtime = tokio::runtime::Runtime::new().map_err(|e| Error::io("cannot start threads", e))?;
    let rows = runtime.block_on(rows(&context, &query))?;
    println!("{plan}: {rows} images, peak memory {}", peak().unwrap_or_else(|| "unknown".to_owned()));
    Ok(())
}

/// The same session without the rule that puts this crate's node into plans.
fn without_rule(context: &SessionContext) -> SessionContext {
    let state = context.state();
    let rules = state.physical_optimizers().iter().filter(|rule| rule.name() != "imbed_embed").cloned().collect();
    let builder = SessionStateBuilder::new_from_existing(state).with_physical_optimizer_rules(rules);
    SessionContext::new_with_state(builder.build())
}

async fn rows(context: &SessionContext, query: &str) -> Result<usize> {
    let table = context.sql(query).await.map_err(|e| cause(&e))?;
    let mut batches = table.execute_stream().await.map_err(|e| cause(&e))?;
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        rows += batch.map_err(|e| cause(&e))?.num_rows();
    }
    Ok(rows)
}

/// The largest resident size of this process so far.
fn peak() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(format!("{} MiB", kilobytes / 1024))
}
