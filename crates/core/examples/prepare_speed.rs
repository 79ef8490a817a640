//! Prepares JPEG files for CLIP on one thread, to be timed from outside: `xtask/compare/prepare_speed.py` does.
//!
//!     cargo run --release -p imbed-core --example prepare_speed -- exact|fast SIDE TIMES FILE…
//!
//! Each file is read, decoded, resized and cut to SIDE x SIDE pixels, TIMES times over. With `-` for TIMES it is done once, and
//! the pixels of all files, `[files, SIDE, SIDE, 3]`, go to standard output.

use std::io::Write;

use imbed_core::{
    Error, ErrorKind, Result,
    image::{DecodeOptions, decode},
    options::{Alpha, Decoding},
    preprocess::{Preprocess, Reduced, from_preprocessor_config},
};

fn main() -> Result<()> {
    let usage = || Error::new(ErrorKind::BadOption, "give exact or fast, SIDE, TIMES or -, and files");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [decoding, side, times, files @ ..] = arguments.as_slice() else { return Err(usage()) };
    let (decoding, side): (Decoding, usize) = (decoding.parse()?, side.parse().map_err(|_| usage())?);
    let recipe = from_preprocessor_config(&serde_json::json!({
        "image_processor_type": "CLIPImageProcessor", "size": { "shortest_edge": side }, "crop_size": side,
    }))?;
    let mut pixels = vec![0; side * side * 3];
    if times == "-" {
        let mut out = std::io::stdout().lock();
        for file in files {
            prepare(&recipe, decoding, file, &mut pixels)?;
            out.write_all(&pixels).map_err(|e| Error::io("the output", e))?;
        }
        return Ok(());
    }
    for _ in 0..times.parse().map_err(|_| usage())? {
        for file in files {
            prepare(&recipe, decoding, file, &mut pixels)?;
        }
    }
    Ok(())
}

fn prepare(recipe: &Preprocess, decoding: Decoding, path: &str, out: &mut [u8]) -> Result<()> {
    let (file, options) = (std::fs::read(path).map_err(|e| Error::io(path, e))?, DecodeOptions::default());
    let decoded = match decoding {
        Decoding::Exact => decode(&file, &options).map(Reduced::from),
        Decoding::Fast => recipe.decode_reduced(&file, &options),
    };
    let decoded = decoded.map_err(|e| e.context(path))?;
    recipe.run_reduced(&decoded, Alpha::Drop, out)?;
    decoded.image.recycle();
    Ok(())
}
