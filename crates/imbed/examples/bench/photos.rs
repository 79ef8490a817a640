//! Pictures that cost a decoder what photos do, so that a benchmark needs no files: detail of every size, the coarse
//! stronger than the fine, as in nature, and a little noise. About 500 x 375 pixels and 80 kB.

use std::{fs, num::NonZero, path::Path, thread};

use imbed::core::{
    Error, Result,
    image::{EncodeFormat, Image, Mode, Samples, encode},
};
use serde_json::{Value, json};

use super::wrong;

const WIDTH: usize = 500;
const HEIGHT: usize = 375;
const QUALITY: u8 = 93;
/// Sides of the squares that detail is drawn for, in pixels.
const SIZES: [usize; 8] = [250, 125, 62, 31, 16, 8, 4, 2];

/// Writes `count` different ones to `folder`, which is made.
pub(crate) fn write(folder: &Path, count: usize) -> Result<Value> {
    fs::create_dir_all(folder).map_err(|e| Error::io(folder.display(), e))?;
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let bytes = thread::scope(|scope| {
        let parts = (0..threads).map(|first| scope.spawn(move || every(folder, (first..count).step_by(threads))));
        // All are started before the first is waited for.
        let parts: Vec<_> = parts.collect();
        parts.into_iter().map(|part| part.join().map_err(|_| wrong("a picture failed"))?).sum::<Result<usize>>()
    })?;
    Ok(json!({ "photos": count, "bytes": bytes }))
}

/// Those of these numbers; how many bytes they have.
fn every(folder: &Path, numbers: impl Iterator<Item = usize>) -> Result<usize> {
    let mut bytes = 0;
    for i in numbers {
        let image = Image::new(Mode::Rgb, WIDTH as u32, HEIGHT as u32, Samples::U8(picture(i as u64)))?;
        let file = encode(&image, EncodeFormat::Jpeg { quality: QUALITY })?;
        let path = folder.join(format!("{i:06}.jpg"));
        fs::write(&path, &file).map_err(|e| Error::io(path.display(), e))?;
        bytes += file.len();
    }
    Ok(bytes)
}

fn picture(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    // One plane of light and two, fainter, of colour.
    let planes = [1.0, 0.35, 0.35].map(|strength| plane(&mut random, strength));
    let mut pixels = Vec::with_capacity(3 * WIDTH * HEIGHT);
    for ((light, red), blue) in planes[0].iter().zip(&planes[1]).zip(&planes[2]) {
        let noise = random.f32() * 16.0 - 8.0;
        let value = |colour: f32| (128.0 + 110.0 * (light + colour) + noise).clamp(0.0, 255.0) as u8;
        pixels.extend([value(*red), value(-0.5 * (red + blue)), value(*blue)]);
    }
    pixels
}

/// Sums of grids of random numbers with straight lines between them, rows after rows.
fn plane(random: &mut fastrand::Rng, strength: f32) -> Vec<f32> {
    let mut sums = vec![0.0; WIDTH * HEIGHT];
    for size in SIZES {
        let columns = WIDTH / size + 2;
        let grid: Vec<f32> = (0..columns * (HEIGHT / size + 2)).map(|_| random.f32() * 2.0 - 1.0).collect();
        let weight = strength * (size as f32 / SIZES[0] as f32).powf(0.6);
        for (y, row) in sums.chunks_exact_mut(WIDTH).enumerate() {
            let (top, down) = (y / size * columns, (y % size) as f32 / size as f32);
            for (x, sum) in row.iter_mut().enumerate() {
                let (left, along) = (top + x / size, (x % size) as f32 / size as f32);
                let between = |a: f32, b: f32, share: f32| a + (b - a) * share;
                let above = between(grid[left], grid[left + 1], along);
                let below = between(grid[left + columns], grid[left + columns + 1], along);
                *sum += weight * between(above, below, down);
            }
        }
    }
    sums
}
