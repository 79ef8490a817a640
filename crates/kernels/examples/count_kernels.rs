//! One kernel on a fixed input, once, for a counter of instructions: `cargo xtask instructions` runs it under valgrind.
//!
//! ```sh
//! cargo run --release -p imbed-kernels --example count_kernels            # names them
//! cargo run --release -p imbed-kernels --example count_kernels -- f32     # runs one
//! ```

use std::{error::Error, hint::black_box};

use imbed_kernels::{
    Activation, Alone, Attention, Cpu, Linear, Patches, Precision, Then, Tokens, layer_norm, rms_norm, softmax,
};

/// Tokens of two images of 50.
const ROWS: usize = 100;
const WIDTH: usize = 384;
const HEADS: usize = 6;

const KERNELS: &[&str] =
    &["f32", "bf16", "int8", "quick-gelu", "gelu", "patches", "attention", "layer-norm", "rms-norm", "softmax", "pack"];

fn main() -> Result<(), Box<dyn Error>> {
    let cpu = Cpu::detect()?;
    match std::env::args().nth(1).as_deref() {
        None => {
            println!("{}", KERNELS.join("\n"));
            Ok(())
        }
        Some("f32") => product(cpu, Precision::F32, Then::Add),
        Some("bf16") => product(cpu, Precision::Bf16, Then::Add),
        Some("int8") => product(cpu, Precision::Int8, Then::Add),
        Some("quick-gelu") => product(cpu, Precision::F32, Then::Activate(Activation::QuickGelu)),
        Some("gelu") => product(cpu, Precision::F32, Then::Activate(Activation::Gelu)),
        Some("patches") => patches(cpu),
        Some("attention") => attention(cpu),
        Some("pack") => {
            let weights = values(WIDTH * WIDTH);
            twice(|| {
                black_box(Linear::pack(cpu, Precision::F32, &weights, WIDTH, None)?);
                Ok(())
            })
        }
        Some(name) => rows(cpu, name),
    }
}

/// The function whose instructions are counted: the first call, which also allocates, is not.
#[inline(never)]
fn counted(run: &mut dyn FnMut() -> Result<(), imbed_kernels::Error>) -> Result<(), imbed_kernels::Error> {
    run()
}

fn twice(mut run: impl FnMut() -> Result<(), imbed_kernels::Error>) -> Result<(), Box<dyn Error>> {
    run()?;
    Ok(counted(&mut run)?)
}

fn values(count: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..count).map(|_| random.f32() - 0.5).collect()
}

fn product(cpu: Cpu, precision: Precision, then: Then) -> Result<(), Box<dyn Error>> {
    let linear = Linear::pack(cpu, precision, &values(WIDTH * WIDTH), WIDTH, Some(&values(WIDTH)))?;
    let (x, mut y) = (values(ROWS * WIDTH), vec![0.0; ROWS * WIDTH]);
    twice(|| linear.apply(black_box(&x), &mut y, then, &Alone))
}

fn patches(cpu: Cpu) -> Result<(), Box<dyn Error>> {
    let (side, patch) = (224, 32);
    let pixels: Vec<u8> = (0..side * side * 3).map(|i| (i * 7 % 251) as u8).collect();
    let inputs = 3 * patch * patch;
    let linear = Linear::pack(cpu, Precision::F32, &values(inputs * WIDTH), inputs, None)?;
    let patches = Patches { pixels: &pixels, height: side, width: side, patch: (patch, patch), skipped: 0 };
    let mut y = vec![0.0; (side / patch) * (side / patch) * WIDTH];
    twice(|| linear.apply_patches(black_box(&patches), &mut y, Then::Activate(Activation::Identity), &Alone))
}

fn attention(cpu: Cpu) -> Result<(), Box<dyn Error>> {
    let qkv = values(ROWS * 3 * WIDTH);
    let mut y = vec![0.0; ROWS * WIDTH];
    let attention = Attention { cpu, heads: HEADS, head_size: WIDTH / HEADS, scale: 0.125 };
    let of = |start| Tokens { values: &qkv, width: 3 * WIDTH, start, tokens: ROWS / 2 };
    twice(|| attention.apply(of(0), of(WIDTH), of(2 * WIDTH), &mut y, &Alone))
}

fn rows(cpu: Cpu, name: &str) -> Result<(), Box<dyn Error>> {
    let (x, gain, mut y) = (values(ROWS * WIDTH), values(WIDTH), vec![0.0; ROWS * WIDTH]);
    match name {
        "layer-norm" => twice(|| layer_norm(cpu, black_box(&x), &gain, &gain, 1e-5, &mut y)),
        "rms-norm" => twice(|| rms_norm(cpu, black_box(&x), &gain, 1e-5, &mut y)),
        "softmax" => {
            y.copy_from_slice(&x);
            twice(|| softmax(cpu, black_box(&mut y), WIDTH))
        }
        _ => Err(format!("no kernel is called '{name}'; they are: {}", KERNELS.join(", ")).into()),
    }
}
