//! Runs the targets on their seeds and on damaged copies of those, the same ones in every run, with any compiler.
//!
//!     replay [--mutations N] [--seed S] [--corpus DIR] [TARGET…]   run; with --corpus, the files of DIR/TARGET too
//!     replay --write-seeds DIR                                     write the seeds to DIR/TARGET, for libFuzzer to begin with
//!     replay --write-images DIR [--mutations N] [--seed S]         write damaged images, for the program itself

use std::{
    collections::VecDeque,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use imbed_fuzz::{Random, TARGETS, Target, mutated};

/// An input that takes longer hangs.
const LONGEST: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Args {
    mutations: usize,
    seed: u64,
    corpus: Option<PathBuf>,
    write_seeds: Option<PathBuf>,
    write_images: Option<PathBuf>,
    targets: Vec<String>,
}

fn args() -> Result<Args, String> {
    let mut given: VecDeque<String> = std::env::args().skip(1).collect();
    let mut args =
        Args { mutations: 2000, seed: 1, corpus: None, write_seeds: None, write_images: None, targets: Vec::new() };
    while let Some(word) = given.pop_front() {
        let mut value = || given.pop_front().ok_or_else(|| format!("{word} wants a value"));
        let number = |text: String| text.parse().map_err(|_| format!("'{text}' is not a number"));
        match word.as_str() {
            "--mutations" => args.mutations = number(value()?)? as usize,
            "--seed" => args.seed = number(value()?)?,
            "--corpus" => args.corpus = Some(value()?.into()),
            "--write-seeds" => args.write_seeds = Some(value()?.into()),
            "--write-images" => args.write_images = Some(value()?.into()),
            _ if word.starts_with('-') => return Err(format!("{word} is not known")),
            _ => args.targets.push(word),
        }
    }
    match args.targets.iter().find(|name| TARGETS.iter().all(|target| target.name != **name)) {
        Some(name) => Err(format!("there is no target '{name}': {}", names())),
        None => Ok(args),
    }
}

fn names() -> String {
    TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ")
}

fn main() -> ExitCode {
    match args().and_then(|args| work(&args).map_err(|e| e.to_string())) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(crashes) => {
            eprintln!("{crashes} inputs crashed");
            ExitCode::FAILURE
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn work(args: &Args) -> std::io::Result<usize> {
    if let Some(folder) = &args.write_seeds {
        for target in TARGETS {
            write(&folder.join(target.name), &(target.seeds)(), 0)?;
        }
        return Ok(0);
    }
    if let Some(folder) = &args.write_images {
        return write_images(folder, args).map(|()| 0);
    }
    watch();
    println!("{:<18} {:>6} {:>10} {:>9} {:>11} {:>8}", "target", "seeds", "runs", "seconds", "slowest ms", "crashes");
    let wanted = |target: &&Target| args.targets.is_empty() || args.targets.iter().any(|name| name == target.name);
    let mut crashes = 0;
    for target in TARGETS.iter().filter(wanted) {
        crashes += replay(target, args)?;
    }
    if let Some(peak) = peak() {
        println!("peak memory: {peak} MiB");
    }
    Ok(crashes)
}

/// How many inputs of a target crashed.
fn replay(target: &Target, args: &Args) -> std::io::Result<usize> {
    let mut seeds = (target.seeds)();
    if let Some(corpus) = &args.corpus {
        let entries = fs::read_dir(corpus.join(target.name)).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        seeds.extend(paths.iter().filter_map(|path| fs::read(path).ok()));
    }
    let (start, mut slowest, mut crashes) = (Instant::now(), Duration::ZERO, 0);
    let mut random = Random::new(args.seed);
    for number in 0..seeds.len() + args.mutations {
        let input = seeds.get(number).cloned().unwrap_or_else(|| mutated(&seeds, &mut random));
        let (began, name) = (Instant::now(), target.name);
        now(Some(&input), name);
        let crashed = catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err();
        now(None, name);
        slowest = slowest.max(began.elapsed());
        if crashed {
            crashes += 1;
            eprintln!("{name}: input {number} crashed; it is kept as {}", keep(name, "crash", &input)?.display());
        }
    }
    println!(
        "{:<18} {:>6} {:>10} {:>9.1} {:>11.1} {:>8}",
        target.name,
        seeds.len(),
        seeds.len() + args.mutations,
        start.elapsed().as_secs_f64(),
        slowest.as_secs_f64() * 1000.0,
        crashes
    );
    Ok(crashes)
}

/// The input that is being run, and which one it is.
static NOW: Mutex<Option<(Vec<u8>, &'static str)>> = Mutex::new(None);
static COUNT: AtomicU64 = AtomicU64::new(0);

fn now(input: Option<&[u8]>, name: &'static str) {
    COUNT.fetch_add(1, Relaxed);
    if let Ok(mut now) = NOW.lock() {
        *now = input.map(|input| (input.to_vec(), name));
    }
}

/// Ends the program at an input that hangs: no thread can be stopped from outside.
fn watch() {
    thread::spawn(|| {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            thread::sleep(Duration::from_millis(200));
            let count = COUNT.load(Relaxed);
            if count != seen {
                (seen, since) = (count, Instant::now());
            } else if since.elapsed() > LONGEST
                && let Ok(Some((input, name))) = NOW.lock().as_deref()
            {
                let kept = keep(name, "hang", input).map_or_else(|e| e.to_string(), |path| path.display().to_string());
                eprintln!("{name}: an input hangs; it is kept as {kept}");
                std::process::exit(1);
            }
        }
    });
}

fn keep(target: &str, what: &str, input: &[u8]) -> std::io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts").join(target);
    fs::create_dir_all(&folder)?;
    // FNV: the same input has the same name.
    let hash = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let path = folder.join(format!("{what}-{hash:016x}"));
    fs::write(&path, input)?;
    Ok(path)
}

/// Damaged images of every format, without the byte that chooses how they are decoded.
fn write_images(folder: &Path, args: &Args) -> std::io::Result<()> {
    let formats: Vec<_> = TARGETS.iter().filter(|target| target.name.starts_with("decode_")).collect();
    let seeds: Vec<Vec<Vec<u8>>> =
        formats.iter().map(|target| (target.seeds)().into_iter().map(|seed| seed[1..].to_vec()).collect()).collect();
    let mut random = Random::new(args.seed);
    let images: Vec<_> = (0..args.mutations).map(|i| mutated(&seeds[i % seeds.len()], &mut random)).collect();
    write(folder, &images, 5)
}

fn write(folder: &Path, files: &[Vec<u8>], digits: usize) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    // Whatever it is, a folder of images is searched by their endings.
    let ending = if digits > 0 { ".png" } else { "" };
    files.iter().enumerate().try_for_each(|(i, file)| fs::write(folder.join(format!("{i:0digits$}{ending}")), file))
}

/// The most memory that this process ever held, where the system tells.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? / 1024)
}
