//! Products at every level of this machine, against sums in f64.

mod support;

use half::bf16;
use imbed_kernels::{Activation, Alone, Cpu, Error, Linear, Patches, Pool, Precision, Then, fold_normalisation};

/// Threads made for each call.
struct Threads(usize);

impl Pool for Threads {
    fn workers(&self) -> usize {
        self.0
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for first in 0..self.0 {
                scope.spawn(move || (first..tasks).step_by(self.0).for_each(task));
            }
        });
    }
}

const ACTIVATIONS: [Activation; 7] = [
    Activation::Identity,
    Activation::QuickGelu,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Silu,
    Activation::Relu,
    Activation::Tanh,
];

fn values(random: &mut fastrand::Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.f32() * 2.0 - 1.0).collect()
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::QuickGelu => x / (1.0 + (-1.702 * x).exp()),
        Activation::Gelu => x * normal_below(x),
        Activation::GeluTanh => {
            x / 2.0 * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
        }
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Relu => x.max(0.0),
        Activation::Tanh => x.tanh(),
    }
}

/// The integral of the density, by Simpson's rule.
fn normal_below(x: f64) -> f64 {
    let steps = 400;
    let width = x / f64::from(steps);
    let density = |t: f64| (-t * t / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let sum: f64 = (0..=steps)
        .map(|i| {
            density(f64::from(i) * width)
                * if i == 0 || i == steps {
                    1.0
                } else if i % 2 == 1 {
                    4.0
                } else {
                    2.0
                }
        })
        .sum();
    0.5 + sum * width / 3.0
}

/// A case with everything it needs.
struct Case {
    rows: usize,
    inputs: usize,
    outputs: usize,
    x: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    before: Vec<f32>,
    then: Then,
}

impl Case {
    fn random(random: &mut fastrand::Rng) -> Self {
        let mut below = |often, rarely| {
            let end = if random.u8(..4) == 0 { rarely } else { often };
            random.usize(1..=end)
        };
        let rows = below(40, 300);
        // Now and then more than one block of steps.
        let inputs = below(130, 1700);
        let outputs = random.usize(1..=120);
        let activation = ACTIVATIONS[random.usize(..5)];
        Self {
            rows,
            inputs,
            outputs,
            x: values(random, rows * inputs),
            weights: values(random, outputs * inputs),
            bias: values(random, outputs),
            before: values(random, rows * outputs),
            then: if random.bool() { Then::Add } else { Then::Activate(activation) },
        }
    }

    fn run(&self, cpu: Cpu, precision: Precision, pool: &dyn Pool) -> Vec<f32> {
        let linear = Linear::pack(cpu, precision, &self.weights, self.inputs, Some(&self.bias)).unwrap();
        let mut y = self.before.clone();
        linear.apply(&self.x, &mut y, self.then, pool).unwrap();
        y
    }

    /// What is expected of numbers that were rounded so, and the most that each may be off when sums have a relative `error`.
    fn check(&self, y: &[f32], x: &[f32], weights: &[f32], error: f64, what: &str) {
        for row in 0..self.rows {
            for output in 0..self.outputs {
                let at = row * self.outputs + output;
                let (mut sum, mut sizes) = (f64::from(self.bias[output]), 1.0);
                for input in 0..self.inputs {
                    let product =
                        f64::from(x[row * self.inputs + input]) * f64::from(weights[output * self.inputs + input]);
                    sum += product;
                    sizes += product.abs();
                }
                let expected = match self.then {
                    Then::Add => f64::from(self.before[at]) + sum,
                    Then::Activate(activation) => activate(activation, sum),
                };
                // No activation here is steeper than 1.13. Functions themselves are good to 1e-6 of their value.
                let bound = sizes * error * 1.13 + expected.abs() * 1e-6 + 1e-6;
                let actual = f64::from(y[at]);
                assert!(
                    (actual - expected).abs() <= bound,
                    "{what}, {}x{}x{}, {:?}, row {row}, column {output}: {actual}, expected {expected} within {bound}",
                    self.rows,
                    self.inputs,
                    self.outputs,
                    self.then
                );
            }
        }
    }
}

fn rounded(values: &[f32]) -> Vec<f32> {
    values.iter().map(|x| bf16::from_f32(*x).to_f32()).collect()
}

#[test]
fn f32_is_within_the_error_of_f32_sums() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..support::cases(40) {
        let case = Case::random(&mut random);
        for cpu in Cpu::available() {
            let y = case.run(cpu, Precision::F32, &Alone);
            case.check(&y, &case.x, &case.weights, 3e-6, &format!("{cpu:?}"));
        }
    }
}

#[test]
fn bf16_is_within_the_error_of_f32_sums_of_rounded_numbers() {
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..support::cases(40) {
        let case = Case::random(&mut random);
        let (x, weights) = (rounded(&case.x), rounded(&case.weights));
        for cpu in Cpu::available() {
            let y = case.run(cpu, Precision::Bf16, &Alone);
            case.check(&y, &x, &weights, 3e-6, &format!("{cpu:?}"));
            let linear = Linear::pack(cpu, Precision::Bf16, &case.weights, case.inputs, Some(&case.bias)).unwrap();
            let halves: Vec<bf16> = case.x.iter().map(|x| bf16::from_f32(*x)).collect();
            let mut same = case.before.clone();
            linear.apply_bf16(&halves, &mut same, case.then, &Alone).unwrap();
            assert_eq!(y, same, "{cpu:?}");
        }
    }
}

#[test]
fn results_in_bf16_are_rounded_once() {
    let mut random = fastrand::Rng::with_seed(6);
    for _ in 0..support::cases(30) {
        let mut case = Case::random(&mut random);
        case.before = rounded(&case.before);
        let before: Vec<bf16> = case.before.iter().map(|x| bf16::from_f32(*x)).collect();
        for cpu in Cpu::available() {
            for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
                let linear = Linear::pack(cpu, precision, &case.weights, case.inputs, Some(&case.bias)).unwrap();
                let mut y = before.clone();
                linear.apply_mixed(&case.x, &mut y, case.then, &Threads(2)).unwrap();
                let expected = rounded(&case.run(cpu, precision, &Alone));
                let halves: Vec<bf16> = case.x.iter().map(|x| bf16::from_f32(*x)).collect();
                let (mut of_halves, mut of_wide) = (before.clone(), before.clone());
                linear.apply_mixed(&halves, &mut of_halves, case.then, &Alone).unwrap();
                linear.apply_mixed(&rounded(&case.x), &mut of_wide, case.then, &Alone).unwrap();
                assert_eq!(of_halves, of_wide, "{cpu:?} {precision:?}");
                let y: Vec<f32> = y.iter().map(|y| y.to_f32()).collect();
                if matches!(case.then, Then::Add | Then::Activate(Activation::Identity)) {
                    assert_eq!(y, expected, "{cpu:?} {precision:?}");
                }
                for (y, expected) in y.iter().zip(&expected) {
                    // A digit of bf16, and what functions may be off where nobody would see it.
                    let bound = expected.abs() / 128.0 + 5e-5;
                    assert!((y - expected).abs() <= bound, "{cpu:?} {precision:?} {:?}: {y}, {expected}", case.then);
                }
            }
        }
    }
}

/// Rows as their bytes say: `least + byte * step`.
fn as_bytes(rows: &[f32], width: usize) -> Vec<f32> {
    rows.chunks(width)
        .flat_map(|row| {
            let least = row.iter().copied().fold(f32::INFINITY, f32::min);
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let step = (most - least) * (1.0 / 255.0);
            let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
            row.iter().map(move |x| least + ((x - least) * inverse).round_ties_even() * step)
        })
        .collect()
}

/// Rows as signed bytes of one scale say.
fn as_signed_bytes(rows: &[f32], width: usize) -> Vec<f32> {
    rows.chunks(width)
        .flat_map(|row| {
            let step = row.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 127.0;
            let inverse = if step > 0.0 { 1.0 / step } else { 0.0 };
            row.iter().map(move |x| (x * inverse).round_ties_even() * step)
        })
        .collect()
}

#[test]
fn int8_is_within_the_error_of_f32_sums_of_quantised_numbers() {
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..support::cases(40) {
        let case = Case::random(&mut random);
        let (x, weights) = (as_bytes(&case.x, case.inputs), as_signed_bytes(&case.weights, case.inputs));
        for cpu in Cpu::available() {
            let y = case.run(cpu, Precision::Int8, &Alone);
            case.check(&y, &x, &weights, 3e-6, &format!("{cpu:?}"));
        }
    }
}

#[test]
fn int8_of_extremes_is_not_cut() {
    // All bytes 0 or 255 and ±127: products that 16 bits do not hold.
    let (rows, inputs, outputs) = (3, 4096, 35_usize);
    let x: Vec<f32> = (0..rows * inputs).map(|i| if i % inputs == 0 { 0.0 } else { 255.0 }).collect();
    let weights: Vec<f32> =
        (0..outputs * inputs).map(|i: usize| if (i / inputs).is_multiple_of(2) { 127.0 } else { -127.0 }).collect();
    for cpu in Cpu::available() {
        let linear = Linear::pack(cpu, Precision::Int8, &weights, inputs, None).unwrap();
        let mut y = vec![0.0; rows * outputs];
        linear.apply(&x, &mut y, Then::Activate(Activation::Identity), &Alone).unwrap();
        for (i, y) in y.iter().enumerate() {
            let expected =
                255.0 * 127.0 * (inputs - 1) as f32 * if (i % outputs).is_multiple_of(2) { 1.0 } else { -1.0 };
            assert!((y - expected).abs() <= expected.abs() * 1e-6, "{cpu:?}: {y}, expected {expected}");
        }
    }
}

#[test]
fn bits_depend_neither_on_threads_nor_on_other_rows() {
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..support::cases(12) {
        let case = Case::random(&mut random);
        for cpu in Cpu::available() {
            for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
                let alone = case.run(cpu, precision, &Alone);
                assert!(alone == case.run(cpu, precision, &Threads(3)), "{cpu:?} {precision:?}");
                let row = random.usize(..case.rows);
                let bias = Some(&*case.bias);
                let linear = Linear::pack_on(cpu, precision, &case.weights, case.inputs, bias, &Threads(2)).unwrap();
                let (ins, outs) =
                    (row * case.inputs..(row + 1) * case.inputs, row * case.outputs..(row + 1) * case.outputs);
                let mut y = case.before[outs.clone()].to_vec();
                linear.apply(&case.x[ins], &mut y, case.then, &Alone).unwrap();
                assert!(y == alone[outs], "{cpu:?} {precision:?}");
            }
        }
    }
}

#[test]
fn nan_stays_in_its_row() {
    for cpu in Cpu::available() {
        for precision in [Precision::F32, Precision::Bf16] {
            for activation in ACTIVATIONS {
                let linear = Linear::pack(cpu, precision, &[1.0; 5 * 40], 5, None).unwrap();
                let mut x = [0.5; 15];
                x[7] = f32::NAN;
                let mut y = [0.0; 120];
                linear.apply(&x, &mut y, Then::Activate(activation), &Alone).unwrap();
                let mut narrow = [bf16::ZERO; 120];
                linear.apply_mixed(&x, &mut narrow, Then::Activate(activation), &Alone).unwrap();
                for (i, y) in y.into_iter().chain(narrow.map(bf16::to_f32)).enumerate() {
                    assert_eq!(y.is_nan(), i % 120 / 40 == 1, "{cpu:?} {precision:?} {activation:?} {i}");
                }
            }
        }
    }
}

#[test]
fn activations_end_where_they_should() {
    let all = |cpu| [Precision::F32, Precision::Bf16].map(|precision| (cpu, precision));
    for (cpu, precision) in Cpu::available().into_iter().flat_map(all) {
        let linear = Linear::pack(cpu, precision, &[1.0; 33], 1, None).unwrap();
        for activation in ACTIVATIONS {
            // In the digits of bf16.
            for x in [-1e9_f32, -120.0, -20.0, -0.0, 0.0, 20.0, 120.0, 1e9].map(|x| bf16::from_f32(x).to_f32()) {
                let mut y = [0.0; 33];
                linear.apply(&[x], &mut y, Then::Activate(activation), &Alone).unwrap();
                let expected = match activation {
                    Activation::Identity => x,
                    Activation::Tanh => x.tanh(),
                    _ => x.max(0.0),
                };
                let mut narrow = [bf16::ZERO; 33];
                linear.apply_mixed(&[x], &mut narrow, Then::Activate(activation), &Alone).unwrap();
                let narrow = narrow.map(bf16::to_f32);
                assert!(
                    (narrow[0] - y[0]).abs() <= y[0].abs() / 128.0 + 5e-5,
                    "{cpu:?} {activation:?} {x}: {narrow:?}"
                );
                for y in y {
                    // SiLU of -20 is -4e-8.
                    assert!((y - expected).abs() <= 1e-7 * expected.abs() + 5e-8, "{cpu:?} {activation:?} {x}: {y}");
                }
            }
        }
    }
}

#[test]
fn patches_of_bytes_are_a_convolution_of_normalised_pixels() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..support::cases(12) {
        let patch @ (rows, columns) = (random.usize(1..=20), random.usize(1..=20));
        let (height, width) = (rows * random.usize(1..=3) + random.usize(..rows), columns * random.usize(1..=3));
        let (images, outputs, skipped) = (random.usize(1..=3), random.usize(1..=40), random.usize(..=2));
        let pixels: Vec<u8> = (0..images * height * width * 3).map(|_| random.u8(..)).collect();
        let weights = values(&mut random, outputs * rows * columns * 3);
        let bias = values(&mut random, outputs);
        let (mean, deviation, factor) = ([0.48, 0.46, 0.41], [0.27, 0.26, 0.28], 1.0 / 255.0);
        let (folded, biases) =
            fold_normalisation(Precision::F32, &weights, patch, &bias, factor, mean, deviation).unwrap();
        let patches = Patches { pixels: &pixels, height, width, patch, skipped };
        for (cpu, precision, bound) in Cpu::available().into_iter().flat_map(|cpu| {
            // Bytes are exact in all three, weights are not.
            [(cpu, Precision::F32, 1e-4), (cpu, Precision::Bf16, 0.6), (cpu, Precision::Int8, 1.6)]
        }) {
            let linear = Linear::pack(cpu, precision, &folded, patches.values(), Some(&biases)).unwrap();
            let mut y = vec![0.25; patches.tokens() * outputs];
            linear.apply_patches(&patches, &mut y, Then::Add, &Threads(2)).unwrap();
            let (down, across) = (height / rows, width / columns);
            for (i, y) in y.iter().enumerate() {
                let (token, output) = (i / outputs, i % outputs);
                let (image, token) = (token / (skipped + down * across), token % (skipped + down * across));
                let Some(number) = token.checked_sub(skipped) else {
                    assert_eq!(*y, 0.25, "a skipped token was written");
                    continue;
                };
                let mut expected = 0.25 + f64::from(bias[output]);
                for colour in 0..3 {
                    for dy in 0..rows {
                        for dx in 0..columns {
                            let (py, px) = (number / across * rows + dy, number % across * columns + dx);
                            let pixel = f64::from(pixels[((image * height + py) * width + px) * 3 + colour]);
                            let x = (pixel * factor - mean[colour]) / deviation[colour];
                            expected += x * f64::from(weights[((output * 3 + colour) * rows + dy) * columns + dx]);
                        }
                    }
                }
                assert!((f64::from(*y) - expected).abs() < bound, "{cpu:?} {precision:?}: {y}, expected {expected}");
            }
        }
    }
}

#[test]
fn wrong_sizes_are_errors() {
    let cpu = Cpu::detect().unwrap();
    let pack =
        |weights: &[f32], inputs, bias: Option<&[f32]>| Linear::pack(cpu, Precision::F32, weights, inputs, bias).err();
    assert!(matches!(pack(&[], 0, None), Some(Error::Size { .. })));
    assert!(matches!(pack(&[1.0; 5], 2, None), Some(Error::Size { .. })));
    assert_eq!(pack(&[1.0; 6], 2, Some(&[0.0])), Some(Error::Length { what: "bias", expected: 3, actual: 1 }));
    let linear = Linear::pack(cpu, Precision::F32, &[1.0; 6], 2, None).unwrap();
    assert!(linear.apply(&[1.0; 3], &mut [0.0; 3], Then::Add, &Alone).is_err());
    assert!(linear.apply(&[1.0; 4], &mut [0.0; 5], Then::Add, &Alone).is_err());
    assert!(linear.apply(&[], &mut [], Then::Add, &Alone).is_ok());
    let patches = Patches { pixels: &[0; 12], height: 2, width: 2, patch: (3, 3), skipped: 0 };
    assert!(linear.apply_patches(&patches, &mut [], Then::Add, &Alone).is_err());
    for (height, width, side, skipped) in [(0, 2, 1, 0), (2, 2, 0, 0), (usize::MAX, 2, 1, 0), (2, 2, 1, usize::MAX)] {
        let patches = Patches { pixels: &[0; 12], height, width, patch: (side, side), skipped };
        assert!(linear.apply_patches(&patches, &mut [], Then::Add, &Alone).is_err());
        let _ = (patches.tokens(), patches.values());
    }
    assert!(fold_normalisation(Precision::F32, &[], (usize::MAX, 1), &[], 1.0, [0.0; 3], [1.0; 3]).is_err());
}
