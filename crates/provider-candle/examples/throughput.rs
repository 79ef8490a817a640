//! Images per second of the model alone, on pixels already prepared.
//!
//!     cargo run --release -p imbed-provider-candle --example throughput -- FOLDER [BATCH] [SECONDS]
//!
//! The number of threads is `RAYON_NUM_THREADS`.

use std::time::{Duration, Instant};

use imbed_core::{
    Device, EmbedOptions, Embedder, Error, ErrorKind, ImageBatch, InputSpec, PixelBatch, Provider, Result,
};
use imbed_provider_candle::CandleProvider;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().unwrap_or_else(|| "imbed/tiny".to_owned());
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |n| n.parse());
    let usage = |e| Error::new(ErrorKind::BadOption, format!("{e}")).hint("FOLDER [BATCH] [SECONDS]");
    let batch = number(32).map_err(usage)?;
    let limit = Duration::from_secs(number(10).map_err(usage)? as u64);

    let descriptor = CandleProvider.image_embedder(&model, &EmbedOptions::default())?;
    let (Embedder::Blocking(embedder), InputSpec::Pixels(preprocess)) =
        (descriptor.instantiate(Device::Cpu)?, descriptor.input())
    else {
        return Err(Error::new(ErrorKind::Internal, "candle embeds pixels on the calling thread"));
    };
    let size = preprocess.output_size().ok_or_else(|| Error::new(ErrorKind::Model, "a model without a size"))?;
    let (height, width) = (size.height as usize, size.width as usize);
    let noise = (0..batch * height * width * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let pixels = PixelBatch::from_vec(noise, height, width)
        .ok_or_else(|| Error::new(ErrorKind::BadOption, "a batch without images"))?;
    let mut out = vec![0.0; batch * embedder.width()];

    // The first call also allocates.
    embedder.embed(ImageBatch::Pixels(&pixels), &mut out)?;
    let (start, mut best, mut calls) = (Instant::now(), f64::INFINITY, 0);
    while start.elapsed() < limit {
        let call = Instant::now();
        embedder.embed(ImageBatch::Pixels(&pixels), &mut out)?;
        best = best.min(call.elapsed().as_secs_f64());
        calls += 1;
    }
    let mean = start.elapsed().as_secs_f64() / f64::from(calls);
    let images = batch as f64;
    println!("{model}, batch {batch}: best {:.1} images/s, mean {:.1} images/s", images / best, images / mean);
    Ok(())
}
