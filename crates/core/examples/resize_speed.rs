//! Milliseconds to resize one seeded RGB image, on one thread.
//!
//!     cargo run --release -p imbed-core --example resize_speed -- WIDTH HEIGHT TO_WIDTH TO_HEIGHT RESAMPLE ROUNDS
//!
//! RESAMPLE is the number of the filter in PIL. Printed are the smallest and the median time.

use std::time::Instant;

use imbed_core::{
    Error, ErrorKind, Result,
    image::{Filter, Image, Mode, Samples},
};

fn main() -> Result<()> {
    let usage =
        || Error::new(ErrorKind::BadOption, "give WIDTH HEIGHT TO_WIDTH TO_HEIGHT RESAMPLE ROUNDS, all numbers");
    let numbers: Option<Vec<u32>> = std::env::args().skip(1).map(|n| n.parse().ok()).collect();
    let Some(&[width, height, to_width, to_height, resample, rounds]) = numbers.as_deref() else {
        return Err(usage());
    };
    let filter = Filter::from_pil(resample.into()).ok_or_else(usage)?;
    let samples =
        (0..u64::from(width) * u64::from(height) * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let image = Image::new(Mode::Rgb, width, height, Samples::U8(samples))?;

    // The first call also allocates.
    image.resize(to_width, to_height, filter)?;
    let mut times = Vec::new();
    for _ in 0..rounds.max(1) {
        let start = Instant::now();
        std::hint::black_box(image.resize(to_width, to_height, filter)?);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("{:.3} {:.3}", times[0], times[times.len() / 2]);
    Ok(())
}
