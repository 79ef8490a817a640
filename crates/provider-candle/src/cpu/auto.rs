//! Which number type is fastest on this processor and still close to f32: tried, not guessed, as processors differ in what
//! their dot products of narrow numbers gain.

use std::time::{Duration, Instant};

use imbed_core::{PixelBatch, Result, options::Dtype};

use super::CpuModel;

/// The lowest cosine to the vector of f32, after the mean of the probes' vectors is taken from each, that is close.
const FLOOR: f32 = 0.99;
/// Images that are tried.
const PROBES: usize = 8;
/// What is tried beside f32.
const CANDIDATES: [Dtype; 2] = [Dtype::Int8, Dtype::Bf16];

/// The model in the number type of those that is the fastest on pictures of `size`, rows and columns, and close to f32.
pub(crate) fn fastest(size: (usize, usize), load: impl Fn(Dtype) -> Result<CpuModel>) -> Result<(Dtype, CpuModel)> {
    let probes = probes(size);
    let exact = load(Dtype::F32)?;
    let (mut time, expected) = run(&exact, &probes)?;
    let mut best = (Dtype::F32, exact);
    for dtype in CANDIDATES {
        let model = load(dtype)?;
        let (took, vectors) = run(&model, &probes)?;
        if took < time && least_cosine(&expected, &vectors, PROBES) >= FLOOR {
            (time, best) = (took, (dtype, model));
        }
    }
    Ok(best)
}

/// The vectors, and how long they took when everything was in its place.
fn run(model: &CpuModel, probes: &PixelBatch) -> Result<(Duration, Vec<f32>)> {
    let mut vectors = vec![0.0; probes.len() * model.width()];
    model.forward(&probes.slice(0..1), &mut vectors[..model.width()])?;
    let start = Instant::now();
    model.forward(probes, &mut vectors)?;
    Ok((start.elapsed(), vectors))
}

/// Pictures that differ in their colours, their coarse shapes and their grain.
fn probes((height, width): (usize, usize)) -> PixelBatch {
    let mut batch = PixelBatch::with_capacity(PROBES, height, width);
    let mut state = 1_u32;
    let mut random = move || {
        // Numerical Recipes' generator; its upper bits are good.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32
    };
    for _ in 0..PROBES {
        // Three waves across the picture, in directions and colours of their own, and grain.
        let waves: [[f32; 6]; 3] = std::array::from_fn(|_| std::array::from_fn(|_| random()));
        let (base, grain) = ([random(), random(), random()], 0.3 * random());
        let mut pixels = Vec::with_capacity(height * width * 3);
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let (y, x) = (row as f32 / height as f32, column as f32 / width as f32);
            let mut colour = base;
            for [down, across, start, red, green, blue] in waves {
                let wave = (std::f32::consts::TAU * (9.0 * (down * y + across * x) + start)).sin();
                for (colour, share) in colour.iter_mut().zip([red, green, blue]) {
                    *colour += 0.3 * wave * (share - 0.3);
                }
            }
            let noise = grain * (random() - 0.5);
            pixels.extend(colour.map(|value| (255.0 * (value + noise)).clamp(0.0, 255.0) as u8));
        }
        batch.push(&pixels, height, width);
    }
    batch
}

/// The smallest cosine between rows of `a` and `b`, so many each, when the mean of its rows was taken from each.
fn least_cosine(a: &[f32], b: &[f32], rows: usize) -> f32 {
    let (a, b) = (centred(a, rows), centred(b, rows));
    let width = a.len() / rows;
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let cosine = |(a, b): (&[f32], &[f32])| (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()) as f32;
    // What is not a number is not close.
    a.chunks_exact(width)
        .zip(b.chunks_exact(width))
        .map(cosine)
        .fold(1.0, |least, c| if c >= least { least } else { c })
}

fn centred(vectors: &[f32], rows: usize) -> Vec<f32> {
    let width = vectors.len() / rows;
    let mean: Vec<f32> = (0..width).map(|i| vectors.iter().skip(i).step_by(width).sum::<f32>() / rows as f32).collect();
    vectors.iter().zip(mean.iter().cycle()).map(|(x, mean)| x - mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_vectors_share_does_not_make_them_alike() {
        let a = [100.0, 1.0, 100.0, -1.0];
        let b = [100.0, -1.0, 100.0, 1.0];
        assert!((least_cosine(&a, &a, 2) - 1.0).abs() < 1e-6);
        assert!((least_cosine(&a, &b, 2) + 1.0).abs() < 1e-6);
        assert!(least_cosine(&a, &[f32::NAN; 4], 2).is_nan());
    }

    #[test]
    fn probes_are_the_same_in_every_run_and_none_is_flat_or_like_another() {
        let batch = probes((16, 24));
        assert_eq!(batch, probes((16, 24)));
        for i in 0..batch.len() {
            let image = batch.image(i);
            assert!(image.iter().any(|x| x.abs_diff(image[0]) > 20), "picture {i}");
            assert!((0..i).all(|j| batch.image(j) != image));
        }
    }
}
