//! The model alone, on pixels that are there.

use std::time::Instant;

use imbed::core::{
    Device, DeviceRequest, Embedder, ImageBatch, ImageEmbedderDescriptor, InputSpec, PixelBatch, Result,
};
use serde_json::{Value, json};

use super::wrong;

/// Milliseconds an image of every call for at least `seconds`, the first of which, which also allocates, is not
/// counted.
pub(crate) fn measure(descriptor: &dyn ImageEmbedderDescriptor, batch: usize, seconds: f64) -> Result<Value> {
    let start = Instant::now();
    let device = match descriptor.options().device {
        DeviceRequest::Exact(device) => device,
        _ => Device::Cpu,
    };
    let Embedder::Blocking(embedder) = descriptor.instantiate(device)? else {
        return Err(wrong("this model runs elsewhere"));
    };
    let load = start.elapsed().as_secs_f64();
    let InputSpec::Pixels(recipe) = descriptor.input() else { return Err(wrong("this model reads files")) };
    let size = recipe.output_size().ok_or_else(|| wrong("this model reads any size"))?;
    let (height, width) = (size.height as usize, size.width as usize);
    let mut random = fastrand::Rng::with_seed(1);
    let noise = (0..batch * height * width * 3).map(|_| random.u8(..)).collect();
    let pixels = PixelBatch::from_vec(noise, height, width).ok_or_else(|| wrong("a batch without images"))?;
    let mut out = vec![0.0; batch * embedder.width()];
    embedder.embed(ImageBatch::Pixels(&pixels), &mut out)?;

    let mut milliseconds = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs_f64() < seconds || milliseconds.len() < 3 {
        let call = Instant::now();
        embedder.embed(ImageBatch::Pixels(&pixels), &mut out)?;
        milliseconds.push(call.elapsed().as_secs_f64() * 1e3 / batch as f64);
    }
    Ok(json!({
        "milliseconds_per_image": milliseconds,
        "batch": batch,
        "load_seconds": load,
        "macs_per_image": descriptor.requirements().macs_per_image,
    }))
}
