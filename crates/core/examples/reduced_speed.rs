//! What decoding JPEGs smaller saves and costs, with the recipe of CLIP at SIDE x SIDE pixels.
//!
//!     cargo run --release -p imbed-core --example reduced_speed -- SIDE ROUNDS FILE…
//!
//! For each least size, as multiples of the size that the recipe resizes to, a line says how the files were decoded (so many
//! at 1/1, 1/2, 1/4 and 1/8 of their size), the milliseconds that a file took on one thread (the median over the rounds of
//! the mean over the files), for decoding and for decoding with resizing, and by how much the SIDE x SIDE pixels differ from
//! the exact ones: the mean over all samples, the mean of the worst file, and the largest difference.
//! The ways take turns within a round.

use std::time::Instant;

use imbed_core::{
    Error, ErrorKind, Result,
    image::{DecodeOptions, decode, jpeg_size},
    options::Alpha,
    preprocess::{LEAST_REDUCTION, Preprocess, Reduced, Size, from_preprocessor_config},
};

/// Sizes compared, in tenths of the size that the recipe resizes to; 0 stands for the exact way.
const TENTHS: [u32; 8] = [0, 10, 15, 20, 22, 24, 30, 40];

/// One file prepared in one way.
struct Prepared {
    by: usize,
    decode: f64,
    whole: f64,
    pixels: Vec<u8>,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = || {
        let number = arguments.next().and_then(|n| n.parse::<usize>().ok());
        number.ok_or_else(|| Error::new(ErrorKind::BadOption, "give SIDE, ROUNDS and files"))
    };
    let (side, rounds) = (number()?, number()?);
    let read = |path: String| std::fs::read(&path).map_err(|e| Error::io(&path, e));
    let files = arguments.map(read).collect::<Result<Vec<_>>>()?;
    let recipe = from_preprocessor_config(&serde_json::json!({
        "image_processor_type": "CLIPImageProcessor", "size": { "shortest_edge": side }, "crop_size": side,
    }))?;

    let mut times = vec![(Vec::new(), Vec::new()); TENTHS.len()];
    let mut reductions = vec![[0_usize; 9]; TENTHS.len()];
    let mut differences = vec![(0.0_f64, 0.0_f64, 0_u8); TENTHS.len()];
    for round in 0..rounds.max(1) {
        let mut sums = vec![(0.0, 0.0); TENTHS.len()];
        for file in &files {
            let mut exact = Vec::new();
            for (way, tenths) in TENTHS.into_iter().enumerate() {
                let prepared = prepare(&recipe, file, tenths)?;
                sums[way].0 += prepared.decode;
                sums[way].1 += prepared.whole;
                if tenths == 0 {
                    exact.clone_from(&prepared.pixels);
                }
                if round == 0 {
                    reductions[way][prepared.by] += 1;
                    let (mean, largest) = difference(&prepared.pixels, &exact);
                    let so_far = &mut differences[way];
                    *so_far = (so_far.0 + mean / files.len() as f64, so_far.1.max(mean), so_far.2.max(largest));
                }
            }
        }
        for ((decode, whole), sum) in times.iter_mut().zip(sums) {
            decode.push(sum.0 / files.len() as f64);
            whole.push(sum.1 / files.len() as f64);
        }
    }
    for (way, tenths) in TENTHS.into_iter().enumerate() {
        let [_, full, half, _, quarter, .., eighth] = reductions[way];
        let (mean, worst, largest) = differences[way];
        let name = if tenths == 0 { "exact".to_owned() } else { format!("{} x", f64::from(tenths) / 10.0) };
        let (decode, whole) = (median(&mut times[way].0), median(&mut times[way].1));
        println!(
            "{name:>6}: {full}/{half}/{quarter}/{eighth} files, decode {decode:.3} ms, with resize {whole:.3} ms, \
             difference {mean:.3}, worst file {worst:.3}, largest {largest}"
        );
    }
    Ok(())
}

fn prepare(recipe: &Preprocess, file: &[u8], tenths: u32) -> Result<Prepared> {
    let start = Instant::now();
    let mut options = DecodeOptions::default();
    let size = jpeg_size(file, &options).filter(|_| tenths > 0);
    let times = |length: u32| length.saturating_mul(tenths).div_ceil(10 * LEAST_REDUCTION);
    options.at_least = size
        .and_then(|size| recipe.least_source(size))
        .map(|least| Size { height: times(least.height), width: times(least.width) });
    let image = decode(file, &options)?;
    let decode = start.elapsed().as_secs_f64() * 1e3;
    let full = size.unwrap_or(Size { height: image.height(), width: image.width() });
    let reduced = Reduced { image, full };
    let mut pixels = vec![0; recipe.output_size_for(full).bytes() as usize];
    recipe.run_reduced(&reduced, Alpha::Drop, &mut pixels)?;
    let whole = start.elapsed().as_secs_f64() * 1e3;
    let by = [1, 2, 4, 8].into_iter().find(|by| full.width.div_ceil(*by) == reduced.image.width()).unwrap_or(1);
    Ok(Prepared { by: by as usize, decode, whole, pixels })
}

/// The mean and the largest absolute difference.
fn difference(a: &[u8], b: &[u8]) -> (f64, u8) {
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    (sum as f64 / a.len() as f64, a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
