//! What this machine can do at most, and how near the products come.
//!
//! ```text
//! cargo run --release -p imbed-kernels --example ceilings [rounds]
//! ```
//!
//! A ceiling is a loop that only multiplies and adds, on registers. Products are those of CLIP ViT-B/32 on 32 images. Ceiling
//! and products take turns, so that a neighbour's load hits both, and medians are shown.

use std::{hint::black_box, time::Instant};

use imbed_kernels::{Activation, Cpu, Level, Linear, Pool, Precision, Then};

/// Threads made for each call: the cost is a few hundredths of a millisecond.
struct Threads(usize);

impl Pool for Threads {
    fn workers(&self) -> usize {
        self.0
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for first in 1..self.0 {
                scope.spawn(move || (first..tasks).step_by(self.0).for_each(task));
            }
            (0..tasks).step_by(self.0).for_each(task);
        });
    }
}

const STEPS: usize = 400_000;
/// Sums that are in flight at once.
const CHAINS: usize = 24;

/// The loops of a level, which return how many operations they did.
#[cfg(target_arch = "x86_64")]
mod loops {
    use std::{arch::x86_64::*, hint::black_box};

    use super::{CHAINS, STEPS};

    /// # Safety
    /// The machine has AVX-512 F.
    #[target_feature(enable = "avx512f")]
    pub(crate) unsafe fn f32_512() -> f64 {
        let x = black_box(_mm512_set1_ps(0.5));
        let mut sums = [x; CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, x, x);
            }
        }
        black_box(sums);
        (STEPS * CHAINS * 16 * 2) as f64
    }

    /// # Safety
    /// The machine has AVX-512 F and BF16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(crate) unsafe fn bf16_512() -> f64 {
        let x = black_box(_mm512_set1_ps(0.5));
        let pairs = _mm512_cvtne2ps_pbh(x, x);
        let mut sums = [x; CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, pairs, pairs);
            }
        }
        black_box(sums);
        (STEPS * CHAINS * 32 * 2) as f64
    }

    /// # Safety
    /// The machine has AVX-512 F and VNNI.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub(crate) unsafe fn i8_512() -> f64 {
        let x = black_box(_mm512_set1_epi8(1));
        let mut sums = [x; CHAINS];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, x, x);
            }
        }
        black_box(sums);
        (STEPS * CHAINS * 64 * 2) as f64
    }

    /// # Safety
    /// The machine has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub(crate) unsafe fn f32_256() -> f64 {
        let x = black_box(_mm256_set1_ps(0.5));
        let mut sums = [x; 12];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, x, x);
            }
        }
        black_box(sums);
        (STEPS * 12 * 8 * 2) as f64
    }
}

/// Operations of one loop, or none where the level has no such instruction.
fn operations(cpu: Cpu, precision: Precision) -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    {
        let level = cpu.level();
        // SAFETY: a `Cpu` exists only where the machine has the instructions of its level, and of those below it.
        return match precision {
            Precision::F32 if level >= Level::Avx512 => Some(unsafe { loops::f32_512() }),
            // SAFETY: as above.
            Precision::F32 if level >= Level::Avx2 => Some(unsafe { loops::f32_256() }),
            // SAFETY: as above.
            Precision::Bf16 if level >= Level::Avx512Bf16 => Some(unsafe { loops::bf16_512() }),
            // SAFETY: as above.
            Precision::Int8 if level >= Level::Avx512Vnni => Some(unsafe { loops::i8_512() }),
            _ => None,
        };
    }
    #[allow(unreachable_code)]
    {
        let _ = (cpu, precision, Level::Plain);
        None
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Thousand million operations a second, on so many threads at once.
fn ceiling(cpu: Cpu, precision: Precision, threads: usize) -> Option<f64> {
    let start = Instant::now();
    let done: Option<f64> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| operations(cpu, precision))).collect();
        running.into_iter().map(|thread| thread.join().ok().flatten()).sum()
    });
    Some(done? / start.elapsed().as_secs_f64() / 1e9)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(15), |text| text.parse::<usize>())?.max(1);
    let cpu = Cpu::detect()?;
    println!("level {}, medians of {rounds} rounds, 10^9 operations a second\n", cpu.level().name());
    println!("precision  threads  ceiling  inputs  outputs  then        product  share");
    let rows = 32 * 50;
    let layers = [
        (768, 2304, Then::Activate(Activation::Identity)),
        (768, 768, Then::Add),
        (768, 3072, Then::Activate(Activation::QuickGelu)),
        (768, 3072, Then::Activate(Activation::Gelu)),
        (3072, 768, Then::Add),
    ];
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        for threads in [1, 2] {
            for (inputs, outputs, then) in layers {
                let mut random = fastrand::Rng::with_seed(1);
                let mut values = |count: usize| (0..count).map(|_| random.f32() - 0.5).collect::<Vec<_>>();
                let (x, bias) = (values(rows * inputs), values(outputs));
                let linear = Linear::pack(cpu, precision, &values(inputs * outputs), inputs, Some(&bias))?;
                let mut y = vec![0.0; rows * outputs];
                let (mut ceilings, mut products) = (Vec::new(), Vec::new());
                for _ in 0..rounds {
                    ceilings.extend(ceiling(cpu, precision, threads));
                    let start = Instant::now();
                    linear.apply(&x, &mut y, then, &Threads(threads))?;
                    black_box(&y);
                    products.push((2 * rows * inputs * outputs) as f64 / start.elapsed().as_secs_f64() / 1e9);
                }
                let product = median(&mut products);
                let (ceiling, share) = if ceilings.is_empty() {
                    ("-".to_owned(), "-".to_owned())
                } else {
                    let ceiling = median(&mut ceilings);
                    (format!("{ceiling:.0}"), format!("{:.0} %", product / ceiling * 100.0))
                };
                let then = match then {
                    Then::Add => "Add".to_owned(),
                    Then::Activate(activation) => format!("{activation:?}"),
                };
                println!(
                    "{:<9}  {threads:>7}  {ceiling:>7}  {inputs:>6}  {outputs:>7}  {then:<10}  {product:>7.0}  {share:>5}",
                    format!("{precision:?}")
                );
            }
        }
    }
    Ok(())
}
