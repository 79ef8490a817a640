//! What this machine can do at most, and how near the products come.
//!
//! ```text
//! cargo run --release -p imbed-kernels --example ceilings [rounds [processor-time]]
//! cargo run --release -p imbed-kernels --example ceilings peaks       # the ceilings alone, of all cores, as JSON
//! ```
//!
//! A ceiling is a loop that only multiplies and adds, on registers. Products are those of CLIP ViT-B/32 on 32 images. Ceiling
//! and products take turns, so that a neighbour's load hits both. Medians say what happened, the best of each what can. With
//! `processor-time`, on Linux, what counts is the time that the threads ran, divided by how many they are: on a machine that others
//! use too.

use std::{hint::black_box, sync::OnceLock, time::Instant};

use half::bf16;
use imbed_kernels::{
    Activation, Attention, Cpu, Error, Level, Linear, Pool, Precision, Then, Tokens, layer_norm, softmax,
};

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

/// Whether the time of threads counts.
static PROCESSOR_TIME: OnceLock<bool> = OnceLock::new();

/// Seconds since whenever.
fn now() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    if PROCESSOR_TIME.get() == Some(&true) {
        return processor_time();
    }
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// Seconds that this process's threads ran.
#[cfg(target_os = "linux")]
fn processor_time() -> f64 {
    const OF_PROCESS: i32 = 2;
    // The standard library links what has it. A time is seconds and nanoseconds, as on every 64-bit Linux.
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
    }
    let mut time = [0; 2];
    // SAFETY: the call writes two numbers of 64 bits, for which there is room.
    unsafe { clock_gettime(OF_PROCESS, &raw mut time) };
    time[0] as f64 + time[1] as f64 / 1e9
}

#[cfg(not(target_os = "linux"))]
fn processor_time() -> f64 {
    0.0
}

/// Seconds since `start` of each of so many threads.
fn since(start: f64, threads: usize) -> f64 {
    let shared = if PROCESSOR_TIME.get() == Some(&true) { threads as f64 } else { 1.0 };
    (now() - start) / shared
}

const STEPS: usize = 400_000;
/// Sums that are in flight at once.
const CHAINS: usize = 24;

/// The loops of a level, which return how many operations they did.
#[cfg(target_arch = "x86_64")]
mod loops {
    use std::{
        arch::{
            asm,
            x86_64::{
                _mm256_fmadd_ps, _mm256_set1_ps, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_dpbusd_epi32,
                _mm512_fmadd_ps, _mm512_set1_epi8, _mm512_set1_ps,
            },
        },
        hint::black_box,
    };

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

    /// So many steps of four products of tiles: `$dot` on the registers as they are.
    macro_rules! tiles {
        ($dot:literal, $steps:expr) => {{
            #[repr(align(64))]
            struct Shape([u8; 64]);
            // Of eight tiles: 64 bytes in each of 16 rows.
            let mut shape = Shape([0; 64]);
            shape.0[0] = 1;
            for tile in 0..8 {
                shape.0[16 + 2 * tile] = 64;
                shape.0[48 + tile] = 16;
            }
            // SAFETY: the caller says that the machine has tiles. Loading their shape reads 64 bytes and makes them zero.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shape, options(nostack, readonly)) };
            for _ in 0..$steps {
                // SAFETY: as above; these touch no memory.
                unsafe {
                    asm!(
                        concat!($dot, " tmm0, tmm4, tmm6"),
                        concat!($dot, " tmm1, tmm4, tmm7"),
                        concat!($dot, " tmm2, tmm5, tmm6"),
                        concat!($dot, " tmm3, tmm5, tmm7"),
                        out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                        options(nostack, nomem)
                    );
                }
            }
            // SAFETY: as above.
            unsafe { asm!("tilerelease", options(nostack, nomem)) };
        }};
    }

    /// # Safety
    /// The machine has AMX with bf16, and this process may use it.
    pub(crate) unsafe fn bf16_tiles() -> f64 {
        tiles!("tdpbf16ps", STEPS / 4);
        (STEPS / 4 * 4 * 16 * 16 * 32 * 2) as f64
    }

    /// # Safety
    /// The machine has AMX with bytes, and this process may use it.
    pub(crate) unsafe fn i8_tiles() -> f64 {
        tiles!("tdpbusd", STEPS / 4);
        (STEPS / 4 * 4 * 16 * 16 * 64 * 2) as f64
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
        return match precision {
            // SAFETY: a `Cpu` exists only where the machine has the instructions of its level, and of those below it.
            Precision::F32 if level >= Level::Avx512 => Some(unsafe { loops::f32_512() }),
            // SAFETY: as above.
            Precision::F32 if level >= Level::Avx2 => Some(unsafe { loops::f32_256() }),
            // SAFETY: as above.
            Precision::Bf16 if level >= Level::Amx => Some(unsafe { loops::bf16_tiles() }),
            // SAFETY: as above.
            Precision::Int8 if level >= Level::Amx => Some(unsafe { loops::i8_tiles() }),
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

/// Thousand million operations a second, on so many threads at once.
fn ceiling(cpu: Cpu, precision: Precision, threads: usize) -> Option<f64> {
    let start = now();
    if threads == 1 {
        // On the thread that runs the kernels: another one may run on another core, with another neighbour.
        return Some(operations(cpu, precision)? / since(start, 1) / 1e9);
    }
    let done: Option<f64> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(|| operations(cpu, precision))).collect();
        running.into_iter().map(|thread| thread.join().ok().flatten()).sum()
    });
    Some(done? / since(start, threads) / 1e9)
}

/// Rates of a ceiling and of a kernel, measured in turns.
#[derive(Default)]
struct Rates {
    ceiling: Vec<f64>,
    kernel: Vec<f64>,
}

impl Rates {
    fn print(mut self, name: &str, threads: usize) {
        self.ceiling.sort_by(f64::total_cmp);
        self.kernel.sort_by(f64::total_cmp);
        let middle = |values: &[f64]| values.get(values.len() / 2).copied();
        let share = |kernel: Option<f64>, ceiling: Option<f64>| match (kernel, ceiling) {
            (Some(kernel), Some(ceiling)) => format!("{:.0} %", kernel / ceiling * 100.0),
            _ => "-".to_owned(),
        };
        let number = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.0}"));
        println!(
            "{name:<34} {threads:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            number(middle(&self.ceiling)),
            number(middle(&self.kernel)),
            share(middle(&self.kernel), middle(&self.ceiling)),
            number(self.ceiling.last().copied()),
            number(self.kernel.last().copied()),
            share(self.kernel.last().copied(), self.ceiling.last().copied()),
        );
    }
}

/// Work a second, in thousand millions, of something that is `amount` of it.
fn rate(amount: usize, threads: usize, run: impl FnOnce() -> Result<(), Error>) -> Result<f64, Error> {
    let start = now();
    run()?;
    Ok(amount as f64 / since(start, threads) / 1e9)
}

const IMAGES: usize = 32;
const TOKENS: usize = 50;
const WIDTH: usize = 768;
const ROWS: usize = IMAGES * TOKENS;

fn values(count: usize) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..count).map(|_| random.f32() - 0.5).collect()
}

fn to_bf16(values: &[f32]) -> Vec<bf16> {
    values.iter().map(|x| bf16::from_f32(*x)).collect()
}

fn products(cpu: Cpu, rounds: usize) -> Result<(), Error> {
    let layers = [
        (WIDTH, 3 * WIDTH, Then::Activate(Activation::Identity)),
        (WIDTH, WIDTH, Then::Add),
        (WIDTH, 4 * WIDTH, Then::Activate(Activation::QuickGelu)),
        (WIDTH, 4 * WIDTH, Then::Activate(Activation::Gelu)),
        (4 * WIDTH, WIDTH, Then::Add),
    ];
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        for threads in [1, 2] {
            for (inputs, outputs, then) in layers {
                let (x, bias) = (values(ROWS * inputs), values(outputs));
                let linear = Linear::pack(cpu, precision, &values(inputs * outputs), inputs, Some(&bias))?;
                let mut y = vec![0.0; ROWS * outputs];
                let (halves, mut narrow) = (to_bf16(&x), vec![bf16::ZERO; ROWS * outputs]);
                let (mut rates, mut mixed) = (Rates::default(), Rates::default());
                for _ in 0..rounds {
                    let most = ceiling(cpu, precision, threads);
                    rates.ceiling.extend(most);
                    mixed.ceiling.extend(most);
                    let amount = 2 * ROWS * inputs * outputs;
                    let pool = &Threads(threads);
                    rates.kernel.push(rate(amount, threads, || linear.apply(&x, &mut y, then, pool))?);
                    mixed.kernel.push(rate(amount, threads, || linear.apply_mixed(&halves, &mut narrow, then, pool))?);
                    black_box((&y, &narrow));
                }
                let then = match then {
                    Then::Add => "Add".to_owned(),
                    Then::Activate(activation) => format!("{activation:?}"),
                };
                rates.print(&format!("{precision:?} {inputs} to {outputs}, {then}"), threads);
                if precision != Precision::F32 {
                    mixed.print("  rows and results in bf16", threads);
                }
            }
        }
    }
    Ok(())
}

fn attention(cpu: Cpu, rounds: usize) -> Result<(), Error> {
    for (images, tokens) in [(IMAGES, TOKENS), (8, 197), (8, 257), (4, 577)] {
        for threads in [1, 2] {
            let qkv = values(images * tokens * 3 * WIDTH);
            let mut y = vec![0.0; images * tokens * WIDTH];
            let attention = Attention { cpu, heads: 12, head_size: 64, scale: 0.125 };
            let of = |start| Tokens { values: &qkv, width: 3 * WIDTH, start, tokens };
            let (halves, mut narrow) = (to_bf16(&qkv), vec![bf16::ZERO; images * tokens * WIDTH]);
            let of_halves = |start| Tokens { values: &halves, width: 3 * WIDTH, start, tokens };
            let (mut rates, mut mixed) = (Rates::default(), Rates::default());
            for _ in 0..rounds {
                rates.ceiling.extend(ceiling(cpu, Precision::F32, threads));
                let amount = 4 * images * tokens * tokens * WIDTH;
                let (q, k, v) = (of(0), of(WIDTH), of(2 * WIDTH));
                rates.kernel.push(rate(amount, threads, || attention.apply(q, k, v, &mut y, &Threads(threads)))?);
                mixed.ceiling.extend(ceiling(cpu, Precision::Bf16, threads));
                let (q, k, v) = (of_halves(0), of_halves(WIDTH), of_halves(2 * WIDTH));
                mixed
                    .kernel
                    .push(rate(amount, threads, || attention.apply_bf16(q, k, v, &mut narrow, &Threads(threads)))?);
                black_box((&y, &narrow));
            }
            rates.print(&format!("attention, {images} images of {tokens}"), threads);
            mixed.print("  of bf16", threads);
        }
    }
    Ok(())
}

/// Values a second, beside a copy of as many.
fn rows(cpu: Cpu, rounds: usize) -> Result<(), Error> {
    let (x, gain) = (values(ROWS * WIDTH), values(WIDTH));
    let mut y = vec![0.0; x.len()];
    let (mut norms, mut shares) = (Rates::default(), Rates::default());
    for _ in 0..rounds {
        let copied = rate(x.len(), 1, || {
            y.copy_from_slice(black_box(&x));
            Ok(())
        })?;
        norms.ceiling.push(copied);
        shares.ceiling.push(copied);
        norms.kernel.push(rate(x.len(), 1, || layer_norm(cpu, black_box(&x), &gain, &gain, 1e-5, &mut y))?);
        shares.kernel.push(rate(y.len(), 1, || softmax(cpu, black_box(&mut y), WIDTH))?);
    }
    norms.print("layer norm, copy as ceiling", 1);
    shares.print("softmax, copy as ceiling", 1);
    Ok(())
}

/// Weights a second, beside a copy of as many.
fn packing(cpu: Cpu, rounds: usize) -> Result<(), Error> {
    let weights = values(WIDTH * 4 * WIDTH);
    for precision in [Precision::F32, Precision::Bf16, Precision::Int8] {
        for threads in [1, 2] {
            let mut rates = Rates::default();
            for _ in 0..rounds {
                rates.ceiling.push(rate(weights.len(), 1, || {
                    black_box(weights.clone());
                    Ok(())
                })?);
                let pack = || Linear::pack_on(cpu, precision, &weights, WIDTH, None, &Threads(threads));
                rates.kernel.push(rate(weights.len(), threads, || pack().map(|linear| drop(black_box(linear))))?);
            }
            rates.print(&format!("packing {precision:?}, copy as ceiling"), threads);
        }
    }
    Ok(())
}

/// The best of a few turns of each ceiling, `null` where the machine has no such instruction.
fn peaks(cpu: Cpu) -> String {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let peak = |precision| {
        let turns = (0..20).filter_map(|_| ceiling(cpu, precision, threads));
        turns.reduce(f64::max).map_or("null".to_owned(), |peak| format!("{peak:.1}"))
    };
    let [f32, bf16, int8] = [Precision::F32, Precision::Bf16, Precision::Int8].map(peak);
    format!(r#"{{"threads":{threads},"level":"{}","f32":{f32},"bf16":{bf16},"int8":{int8}}}"#, cpu.level().name())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().nth(1).as_deref() == Some("peaks") {
        println!("{}", peaks(Cpu::detect()?));
        return Ok(());
    }
    let rounds = std::env::args().nth(1).map_or(Ok(15), |text| text.parse::<usize>())?.max(1);
    let processor_time = std::env::args().nth(2).is_some_and(|text| text == "processor-time");
    if processor_time && !cfg!(target_os = "linux") {
        return Err("processor-time is known on Linux alone; leave it out".into());
    }
    PROCESSOR_TIME.get_or_init(|| processor_time);
    let cpu = Cpu::detect()?;
    println!("level {}, {rounds} rounds, 10^9 operations or values a second", cpu.level().name());
    println!("{:>68} {:>26}", "-------- medians --------", "---------- best ----------");
    println!(
        "{:<34} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "kernel", "threads", "ceiling", "kernel", "share", "ceiling", "kernel", "share"
    );
    products(cpu, rounds)?;
    attention(cpu, rounds)?;
    rows(cpu, rounds)?;
    packing(cpu, rounds)?;
    Ok(())
}
