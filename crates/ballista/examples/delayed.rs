//! What a cluster adds to the work itself: executors on this machine whose model only waits, so that they need no processor.
//!
//! ```sh
//! cargo run --release -p imbed-ballista --example delayed -- ROWS MILLISECONDS PARTITIONS EXECUTORS…
//! cargo run --release -p imbed-ballista --example delayed -- 100000 8 256 1 2 4 8
//! ```
//!
//! Each call of the model, of eight images, takes so many milliseconds. For each number of executors the table is embedded and
//! written as parts once: the seconds, how much faster that is than the first, and how near to the waiting alone.

#[path = "../tests/support/mod.rs"]
mod support;

use std::{error::Error, num::NonZeroUsize, time::Instant};

use arrow_array::{cast::AsArray, types::UInt64Type};
use datafusion::prelude::ParquetReadOptions;
use imbed_ballista::{Cluster, Parts, connect, save_parts};
use imbed_core::{Registry, Session};
use imbed_datafusion::{ImageContext, Imbed};

use support::{delayed::ROWS, processes, processes::Process, table};

fn main() -> Result<(), Box<dyn Error>> {
    if processes::play() {
        return Ok(());
    }
    let arguments: Result<Vec<u32>, _> = std::env::args().skip(1).map(|n| n.parse::<u32>()).collect();
    let Ok([rows, delay, partitions, counts @ ..]) = arguments.as_deref() else {
        return Err("give ROWS MILLISECONDS PARTITIONS EXECUTORS…, all of them numbers".into());
    };
    let (rows, delay, partitions) = (i64::from(*rows), *delay, *partitions as usize);
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("t.parquet");
    table(&file, rows, (rows as usize / partitions / 2).max(1));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scheduler = Process::scheduler(&[]);
    let mut executors: Vec<Process> = Vec::new();
    let mut first = None;
    println!("{:>9} {:>9} {:>9} {:>9} {:>12} {:>9}", "executors", "seconds", "speedup", "waiting", "images/s", "parts");
    for &count in counts {
        executors.truncate(count as usize);
        while executors.len() < count as usize {
            executors.push(Process::executor(&[], &scheduler, 1));
        }
        let out = folder.path().join(format!("out-{count}"));
        let (seconds, parts, written) = runtime.block_on(async {
            let partitions = NonZeroUsize::new(partitions).unwrap_or(Cluster::PARTITIONS);
            let imbed = Imbed::new(Session::new(Registry::linked()));
            let cluster = Cluster { scheduler: scheduler.address.clone(), partitions };
            let context = connect(&imbed, &cluster).await?;
            context.register_parquet("t", &file.to_string_lossy(), ParquetReadOptions::default()).await?;
            let start = Instant::now();
            let query =
                format!("SELECT id, embed_image(image, provider => 'delayed', model => 'delayed/{delay}') AS e FROM t");
            let saved = save_parts(context.image_sql(&query).await?, Parts::new(&out.to_string_lossy())?);
            let told = saved.collect().await?;
            let parts: usize = told.iter().map(arrow_array::RecordBatch::num_rows).sum();
            let counted = told.iter().map(|b| b.column(0).as_primitive::<UInt64Type>().values().iter().sum::<u64>());
            Ok::<_, Box<dyn Error>>((start.elapsed().as_secs_f64(), parts, counted.sum::<u64>()))
        })?;
        if written != rows as u64 {
            return Err(format!("{written} rows were written of {rows}").into());
        }
        let waiting = rows as f64 / ROWS as f64 * f64::from(delay) / 1000.0 / f64::from(count);
        let base = *first.get_or_insert(seconds);
        println!(
            "{count:>9} {seconds:>9.2} {:>9.2} {:>9.2} {:>12.0} {parts:>9}",
            base / seconds,
            waiting / seconds,
            rows as f64 / seconds
        );
    }
    Ok(())
}
