//! Number types on the processor: how far each is from f32.

mod support;

use imbed_core::{
    EmbedOptions, PixelBatch,
    options::{Dtype, Pooling},
};
use support::{CHECKPOINTS, Golden, describe, embed, load};

fn options(dtype: Dtype) -> EmbedOptions {
    EmbedOptions { dtype: Some(dtype), ..EmbedOptions::default() }
}

/// The smallest cosine between the rows of both, less the mean of each side's rows.
fn least_centred_cosine(a: &[f32], b: &[f32], width: usize) -> f64 {
    let centred = |vectors: &[f32]| -> Vec<f64> {
        let rows = (vectors.len() / width) as f64;
        let mean: Vec<f64> = (0..width)
            .map(|i| vectors.iter().skip(i).step_by(width).map(|x| f64::from(*x)).sum::<f64>() / rows)
            .collect();
        vectors.iter().zip(mean.iter().cycle()).map(|(x, mean)| f64::from(*x) - mean).collect()
    };
    let (a, b) = (centred(a), centred(b));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = |(a, b): (&[f64], &[f64])| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    a.chunks_exact(width).zip(b.chunks_exact(width)).map(cosine).fold(1.0, f64::min)
}

/// Pictures of `size` that have something in common and something of their own.
fn pictures(count: usize, (rows, columns): (usize, usize)) -> PixelBatch {
    let mut batch = PixelBatch::with_capacity(count, rows, columns);
    for i in 0..count {
        let pixel = |at: usize| {
            let (row, column, channel) = (at / 3 / columns, at / 3 % columns, at % 3);
            let wave = (row * (i + 1) + column * (3 * i + channel + 1)) as f32 * 0.2;
            (110.0 + 60.0 * wave.sin() + ((at * 7919 + i * 104_729) % 83) as f32) as u8
        };
        batch.push(&(0..rows * columns * 3).map(pixel).collect::<Vec<_>>(), rows, columns);
    }
    batch
}

#[test]
fn narrow_numbers_stay_close_to_single_precision_in_every_family() {
    // The fixtures have seeded weights and few numbers a token, so what is rounded away does not average out: the bounds are
    // wider than those that full-size checkpoints keep.
    for name in CHECKPOINTS {
        let pixels = Golden::of(name).pixels();
        let size = pixels.size().unwrap();
        let pixels = pictures(12, size);
        let vectors = |dtype| {
            let model = load(&*describe(name, &options(dtype)));
            (embed(&*model, &pixels), model.width())
        };
        let (exact, width) = vectors(Dtype::F32);
        for (dtype, floor) in [(Dtype::Bf16, 0.998), (Dtype::Int8, 0.97)] {
            let least = least_centred_cosine(&exact, &vectors(dtype).0, width);
            assert!(least >= floor, "{name} in {dtype}: {least}");
            assert_ne!(exact, vectors(dtype).0, "{name} in {dtype} is f32");
        }
    }
}

#[test]
fn in_every_number_type_a_vector_has_the_same_bits_in_every_batch() {
    for name in ["clip", "siglip", "dinov2-swiglu"] {
        let size = Golden::of(name).pixels().size().unwrap();
        let pixels = pictures(9, size);
        for dtype in [Dtype::Bf16, Dtype::Int8] {
            let model = load(&*describe(name, &options(dtype)));
            let all = embed(&*model, &pixels);
            let parts: Vec<f32> =
                [0..1, 1..3, 3..9].into_iter().flat_map(|part| embed(&*model, &pixels.slice(part))).collect();
            assert_eq!(all, parts, "{name} in {dtype}");
        }
    }
}

#[test]
fn the_fastest_is_one_of_the_others_and_says_which() {
    let options = EmbedOptions { pooling: Some(Pooling::Mean), ..options(Dtype::Auto) };
    let chosen = load(&*describe("vit", &options));
    let dtype = chosen.dtype().unwrap();
    assert!([Dtype::F32, Dtype::Bf16, Dtype::Int8].contains(&dtype));
    let pixels = pictures(3, (32, 32));
    let named = load(&*describe("vit", &EmbedOptions { dtype: Some(dtype), ..options }));
    assert_eq!(embed(&*chosen, &pixels), embed(&*named, &pixels));
}
