//! Prepares images as a checkpoint's processor would, to look at or to compare.
//!
//!     cargo run --release -p imbed-core --example preprocess < JOBS
//!
//! Each line of the input is a JSON object: `config` (a `preprocessor_config.json`), `image` (a file) and `out`. The resized
//! and cropped bytes, `[height, width, 3]`, go to `out` + `.u8`, the model's numbers, little-endian `f32`
//! `[3, height, width]`, to `out` + `.f32`; a line with the size, or with the error, goes to the output.

use std::io::{BufRead, Write};

use imbed_core::{
    Error, ErrorKind, PixelBatch, Result,
    image::{DecodeOptions, decode},
    options::Alpha,
    preprocess::{Size, from_preprocessor_config},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Job {
    config: serde_json::Value,
    image: String,
    out: String,
}

fn run(line: &str) -> Result<Size> {
    let job: Job = serde_json::from_str(line)
        .map_err(|e| Error::new(ErrorKind::BadInput, format!("not a job: {e}")).hint("give config, image and out"))?;
    let recipe = from_preprocessor_config(&job.config)?;
    let encoded = std::fs::read(&job.image).map_err(|e| Error::io(&job.image, e))?;
    let image = decode(&encoded, &DecodeOptions::default()).map_err(|e| e.context(&job.image))?;
    let size = recipe.output_size_for(Size { height: image.height(), width: image.width() });
    let mut pixels = vec![0; size.bytes() as usize];
    recipe.run(&image, Alpha::Over([255; 3]), &mut pixels).map_err(|e| e.context(&job.image))?;
    let write = |ending: &str, bytes: &[u8]| {
        let path = format!("{}.{ending}", job.out);
        std::fs::write(&path, bytes).map_err(|e| Error::io(&path, e))
    };
    write("u8", &pixels)?;
    if let Some(batch) = PixelBatch::from_vec(pixels, size.height as usize, size.width as usize) {
        let mut numbers = vec![0.0; batch.data().len()];
        recipe.normalize.apply(&batch, &mut numbers);
        write("f32", &numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    Ok(size)
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let said = match run(&line?) {
            Ok(size) => serde_json::json!({ "height": size.height, "width": size.width }),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        };
        writeln!(out, "{said}")?;
    }
    Ok(())
}
