//! Norms, shares and attention at every level of this machine, against f64.

mod support;

use half::bf16;
use imbed_kernels::{
    Alone, Attention, Cpu, Error, Pool, Tokens, layer_norm, layer_norm_mixed, rms_norm, rms_norm_mixed, softmax,
};

/// Tasks in reverse, as for several workers.
struct Backwards;

impl Pool for Backwards {
    fn workers(&self) -> usize {
        3
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..tasks).rev().for_each(task);
    }
}

fn values(random: &mut fastrand::Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.f32() * 6.0 - 3.0).collect()
}

fn close(actual: &[f32], expected: &[f64], bound: f64, what: &str) {
    assert_eq!(actual.len(), expected.len());
    for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!((f64::from(*actual) - expected).abs() <= bound, "{what}, {i}: {actual}, expected {expected}");
    }
}

fn normed(x: &[f32], gain: &[f32], bias: Option<&[f32]>, epsilon: f64) -> Vec<f64> {
    let width = gain.len() as f64;
    x.chunks(gain.len())
        .flat_map(|row| {
            let mean = if bias.is_some() { row.iter().map(|x| f64::from(*x)).sum::<f64>() / width } else { 0.0 };
            let squares = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / width;
            let factor = 1.0 / (squares + epsilon).sqrt();
            row.iter().enumerate().map(move |(i, x)| {
                (f64::from(*x) - mean) * factor * f64::from(gain[i]) + bias.map_or(0.0, |bias| f64::from(bias[i]))
            })
        })
        .collect()
}

fn shares(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|x| (x - most).exp()).sum();
    scores.iter().map(|x| (x - most).exp() / sum).collect()
}

#[test]
fn norms_are_those_of_f64() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..support::cases(60) {
        let (rows, width) = (random.usize(..=5), random.usize(1..=900));
        // A mean far from zero, which careless sums of squares lose their digits to.
        let shift = random.f32() * 30.0;
        let x: Vec<f32> = values(&mut random, rows * width).into_iter().map(|x| x + shift).collect();
        let (gain, bias) = (values(&mut random, width), values(&mut random, width));
        for cpu in Cpu::available() {
            let mut y = vec![0.0; x.len()];
            layer_norm(cpu, &x, &gain, &bias, 1e-2, &mut y).unwrap();
            close(&y, &normed(&x, &gain, Some(&bias), 1e-2), 2e-4, &format!("{cpu:?}, layer norm of {width}"));
            let halves = |y: &[f32]| y.iter().map(|y| bf16::from_f32(*y)).collect::<Vec<_>>();
            let mut narrow = vec![bf16::ZERO; x.len()];
            layer_norm_mixed(cpu, &x, &gain, &bias, 1e-2, &mut narrow).unwrap();
            assert_eq!(narrow, halves(&y), "{cpu:?}, layer norm of {width}");
            rms_norm(cpu, &x, &gain, 1e-2, &mut y).unwrap();
            rms_norm_mixed(cpu, &x, &gain, 1e-2, &mut narrow).unwrap();
            assert_eq!(narrow, halves(&y), "{cpu:?}, RMS norm of {width}");
            close(&y, &normed(&x, &gain, None, 1e-2), 2e-5, &format!("{cpu:?}, RMS norm of {width}"));
        }
    }
}

#[test]
fn shares_are_those_of_f64() {
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..support::cases(60) {
        let (rows, width) = (random.usize(..=5), random.usize(1..=300));
        let size = [0.1, 3.0, 100.0][random.usize(..3)];
        let x: Vec<f32> = values(&mut random, rows * width).into_iter().map(|x| x * size).collect();
        let expected: Vec<f64> =
            x.chunks(width).flat_map(|row| shares(&row.iter().map(|x| f64::from(*x)).collect::<Vec<_>>())).collect();
        for cpu in Cpu::available() {
            let mut y = x.clone();
            softmax(cpu, &mut y, width).unwrap();
            close(&y, &expected, 1e-6, &format!("{cpu:?}, {width} scores"));
        }
    }
}

/// Attention with the whole matrix of scores.
fn attended(of: &Attention, q: Tokens<'_>, k: Tokens<'_>, v: Tokens<'_>) -> Vec<f64> {
    let images = q.values.len() / q.width / q.tokens;
    let at = |t: Tokens<'_>, image: usize, token: usize, head: usize, i: usize| {
        f64::from(t.values[(image * t.tokens + token) * t.width + t.start + head * of.head_size + i])
    };
    let mut y = Vec::new();
    for image in 0..images {
        for query in 0..q.tokens {
            for head in 0..of.heads {
                let scores: Vec<f64> = (0..k.tokens)
                    .map(|key| {
                        let product = |i| at(q, image, query, head, i) * at(k, image, key, head, i);
                        (0..of.head_size).map(product).sum::<f64>() * f64::from(of.scale)
                    })
                    .collect();
                let shares = shares(&scores);
                for i in 0..of.head_size {
                    y.push(shares.iter().enumerate().map(|(key, share)| share * at(v, image, key, head, i)).sum());
                }
            }
        }
    }
    y
}

#[test]
fn attention_is_that_of_f64() {
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..support::cases(24) {
        let (images, heads, head_size) = (random.usize(1..=2), random.usize(1..=3), random.usize(1..=80));
        // Also more than one block of keys, and whole blocks.
        let tokens = [random.usize(1..=70), random.usize(513..=700), random.usize(250..=511), 512][round % 4];
        let (width, scale) = (heads * head_size, [0.1, 0.3, 1.0][random.usize(..3)]);
        let qkv = values(&mut random, images * tokens * 3 * width);
        let of = |start| Tokens { values: &qkv, width: 3 * width, start, tokens };
        let others = values(&mut random, images * 3 * width);
        // A pooling head: few queries of their own.
        let few = Tokens { values: &others, width, start: 0, tokens: 3 };
        for (q, k, v) in [(of(0), of(width), of(2 * width)), (few, of(0), of(width))] {
            let of_level = |cpu| Attention { cpu, heads, head_size, scale };
            let expected = attended(&of_level(Cpu::available()[0]), q, k, v);
            for cpu in Cpu::available() {
                let attention = of_level(cpu);
                let mut y = vec![f32::NAN; images * q.tokens * width];
                attention.apply(q, k, v, &mut y, &Alone).unwrap();
                let what = format!("{cpu:?}, {tokens} tokens, {heads} heads of {head_size}");
                close(&y, &expected, 2e-4, &what);
                let mut again = vec![f32::NAN; y.len()];
                attention.apply(q, k, v, &mut again, &Backwards).unwrap();
                assert_eq!(y, again, "{what}");
            }
        }
    }
}

#[test]
fn attention_of_bf16_is_that_of_f64_up_to_its_digits() {
    let mut random = fastrand::Rng::with_seed(4);
    for round in 0..support::cases(12) {
        let (images, heads, head_size) = (random.usize(1..=2), random.usize(1..=3), random.usize(1..=80));
        let tokens = [random.usize(1..=70), random.usize(250..=600), 32, 64][round % 4];
        let (width, scale) = (heads * head_size, [0.1, 0.3, 1.0][random.usize(..3)]);
        let mut halves = |count| values(&mut random, count).into_iter().map(bf16::from_f32).collect::<Vec<_>>();
        let (qkv, others) = (halves(images * tokens * 3 * width), halves(images * 3 * width));
        let wide = |halves: &[bf16]| halves.iter().map(|x| x.to_f32()).collect::<Vec<_>>();
        let (wide_qkv, wide_others) = (wide(&qkv), wide(&others));
        let of = |start| Tokens { values: &qkv, width: 3 * width, start, tokens };
        let wide_of = |start| Tokens { values: &wide_qkv, width: 3 * width, start, tokens };
        let few = Tokens { values: &others, width, start: 0, tokens: 3 };
        let wide_few = Tokens { values: &wide_others, width, start: 0, tokens: 3 };
        for (q, k, v, wide) in [
            (of(0), of(width), of(2 * width), (wide_of(0), wide_of(width), wide_of(2 * width))),
            (few, of(0), of(width), (wide_few, wide_of(0), wide_of(width))),
        ] {
            let of_level = |cpu| Attention { cpu, heads, head_size, scale };
            let expected = attended(&of_level(Cpu::available()[0]), wide.0, wide.1, wide.2);
            for cpu in Cpu::available() {
                let attention = of_level(cpu);
                let mut y = vec![bf16::NAN; images * q.tokens * width];
                attention.apply_bf16(q, k, v, &mut y, &Alone).unwrap();
                let what = format!("{cpu:?}, {tokens} tokens, {heads} heads of {head_size}");
                // Shares and results have eight digits, and values are at most 3.
                close(&y.iter().map(|y| y.to_f32()).collect::<Vec<_>>(), &expected, 0.015, &what);
                let mut again = vec![bf16::NAN; y.len()];
                attention.apply_bf16(q, k, v, &mut again, &Backwards).unwrap();
                assert_eq!(y, again, "{what}");
            }
        }
    }
}

#[test]
fn wrong_sizes_are_errors() {
    let cpu = Cpu::detect().unwrap();
    assert!(matches!(softmax(cpu, &mut [0.0; 3], 2), Err(Error::Size { .. })));
    assert!(matches!(softmax(cpu, &mut [], 0), Err(Error::Size { .. })));
    assert!(rms_norm(cpu, &[0.0; 3], &[1.0; 2], 0.0, &mut [0.0; 3]).is_err());
    assert!(layer_norm(cpu, &[0.0; 2], &[1.0; 2], &[0.0], 0.0, &mut [0.0; 2]).is_err());
    let attention = Attention { cpu, heads: 2, head_size: 2, scale: 1.0 };
    let of = |start, tokens| Tokens { values: &[0.0; 24], width: 4, start, tokens };
    let apply = |q, k, v, length| attention.apply(q, k, v, &mut vec![0.0; length], &Alone);
    assert!(apply(of(0, 3), of(0, 3), of(0, 3), 24).is_ok());
    assert!(apply(of(1, 3), of(0, 3), of(0, 3), 24).is_err());
    assert!(apply(of(0, 3), of(0, 2), of(0, 2), 24).is_err());
    assert!(apply(of(0, 0), of(0, 3), of(0, 3), 24).is_err());
    assert!(apply(of(0, 3), of(0, 3), of(0, 3), 23).is_err());
    assert!(apply(of(0, usize::MAX), of(0, 3), of(0, 3), 24).is_err());
    assert!(apply(of(usize::MAX, 3), of(0, 3), of(0, 3), 24).is_err());
}
