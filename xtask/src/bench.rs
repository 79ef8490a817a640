//! How fast imbed is, in stages and from end to end, beside what the machine allows and beside its peers.
//!
//! Nothing here fails because something was slow: figures are to read. What guards the kernels is
//! [`instructions`](crate::instructions).

mod contest;
mod contestant;
pub(crate) mod machine;
mod numbers;
mod peers;
mod photos;
pub(crate) mod process;
mod programs;
mod report;
mod retrieval;
mod vectors;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::page::Page;
use contestant::{Contestant, Course};
use machine::Machine;
use programs::Programs;

const PAGE: Page = Page("docs/benchmarks.md");
const MODELS: [&str; 5] = ["clip-vit-b32", "clip-vit-b16", "clip-vit-l14", "siglip-b16", "dinov2-b"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// JPEG files, or folders of them [default: generated pictures of 500 x 375].
    #[arg(long, value_name = "PATH", num_args = 1..)]
    images: Vec<PathBuf>,
    /// How many images a run embeds: files are repeated with a comment of their own until there are so many.
    #[arg(long, default_value_t = 320, value_parser = clap::value_parser!(u32).range(2..))]
    count: u32,
    /// Turns that everybody has after the warm-up.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seeded checkpoints of full size.
    #[arg(long, value_delimiter = ',', default_value = "clip-vit-b32", value_parser = MODELS)]
    models: Vec<String>,
    /// Number types of imbed, and of its peers [default: f32,bf16,int8,auto; on a GPU f32,bf16].
    #[arg(long, value_delimiter = ',')]
    dtypes: Vec<String>,
    /// Where models run, such as cuda:0 [default: the processor]. On a GPU imbed is measured with the provider candle and, where the
    /// environment names a libtorch, as LIBTORCH does, torch.
    #[arg(long, value_name = "DEVICE", value_parser = gpu)]
    device: Option<String>,
    /// A folder with the programs imbed and bench, built elsewhere, instead of building them.
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
    /// A Python that has the peers' packages, instead of an environment of their own.
    #[arg(long, value_name = "PATH")]
    peers_python: Option<PathBuf>,
    /// An option of imbed embed that all its runs are given, such as decode=fast; may be repeated.
    #[arg(long = "option", value_name = "NAME=VALUE")]
    options: Vec<String>,
    /// Measures the peers too, all of them or those that are named.
    #[arg(
        long, value_name = "NAME", value_delimiter = ',', num_args = 0.., require_equals = true,
        default_missing_value = "all", value_parser = peers::NAMES
    )]
    peers: Vec<String>,
    /// The Python that the peers' environment is made with.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// A table with the columns image and label: how often the built-in model finds an image of the same label, by
    /// number type.
    #[arg(long, value_name = "FILE.parquet", conflicts_with = "device")]
    retrieval: Option<PathBuf>,
    /// Where all single measurements go [default: bench/results.json in the target folder].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Writes the tables into docs/benchmarks.md.
    #[arg(long)]
    write: bool,
}

impl Args {
    /// The command that repeats the run; files of the user's are named by what they are.
    fn shown(&self) -> String {
        let mut words = vec!["cargo xtask bench".to_owned()];
        let mut option = |name: &str, value: String| words.push(format!("--{name} {value}"));
        option("models", self.models.join(","));
        option("dtypes", self.dtypes().join(","));
        option("count", self.count.to_string());
        option("rounds", self.rounds.to_string());
        self.device.iter().for_each(|device| option("device", device.clone()));
        self.options.iter().for_each(|value| option("option", value.clone()));
        if !self.images.is_empty() {
            option("images", "PHOTOS".to_owned());
        }
        if self.retrieval.is_some() {
            option("retrieval", "TABLE".to_owned());
        }
        match self.peers.as_slice() {
            [] => {}
            [all] if all == "all" => words.push("--peers".to_owned()),
            names => words.push(format!("--peers={}", names.join(","))),
        }
        words.join(" ")
    }

    fn dtypes(&self) -> Vec<String> {
        let usual: &[&str] = match (self.dtypes.as_slice(), &self.device) {
            ([], None) => &["f32", "bf16", "int8", "auto"],
            ([], Some(_)) => &["f32", "bf16"],
            (asked, _) => return asked.to_vec(),
        };
        usual.iter().map(ToString::to_string).collect()
    }

    /// The mark of a section of the docs.
    fn section(&self, name: &str) -> String {
        if self.device.is_some() { format!("bench:gpu:{name}") } else { format!("bench:{name}") }
    }

    /// The peers by name; none is all.
    fn only(&self) -> &[String] {
        if self.peers.iter().any(|name| name == "all") { &[] } else { &self.peers }
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(option) = args.options.iter().find(|option| !option.contains('=')) {
        bail!("--option {option}: give NAME=VALUE, such as decode=fast");
    }
    if let Some(table) = &args.retrieval {
        ensure!(table.is_file(), "--retrieval: {} is not there", table.display());
    }
    let machine = Machine::look();
    let machine = if args.device.is_some() { machine.and_gpu() } else { machine };
    println!("{machine}");
    let programs = match &args.programs {
        Some(folder) => Programs::there(folder)?,
        None => Programs::build(args.device.is_some())?,
    };
    let python = match &args.peers_python {
        _ if args.peers.is_empty() => PathBuf::new(),
        Some(python) => python.clone(),
        None => peers::python(&args.python)?,
    };
    let photos = if args.images.is_empty() { programs.photos(args.count as usize)? } else { own(args)? };
    let scratch = tempfile::tempdir()?;
    let mut results = Map::new();
    for name in &args.models {
        println!("\n=== {name}");
        let checkpoint = programs.checkpoint(name)?;
        let graphs = args.device.is_none();
        let ready = if args.peers.is_empty() { PathBuf::new() } else { peers::ready(&python, &checkpoint, graphs)? };
        let course = Course {
            programs: &programs,
            checkpoint,
            photos: photos.clone(),
            options: &args.options,
            python: python.clone(),
            ready,
            scratch: scratch.path().to_owned(),
            gpu: args.device.clone(),
        };
        contest::hold(&course, contestants(args), args.count as usize, args.rounds as usize, |outcome, rounds| {
            results.insert(name.clone(), outcome.to_json());
            let heading = format!("{}\n\n{}", heading(args, rounds, &machine), report::model(outcome));
            publish(args, &machine, &results, (name, &heading))
        })?;
    }
    if let Some(table) = &args.retrieval {
        let (text, shares) = retrieval(&programs, &std::path::absolute(table)?, args, &machine, scratch.path());
        results.insert("retrieval".to_owned(), shares);
        publish(args, &machine, &results, ("retrieval", &text))?;
    }
    Ok(())
}

/// A GPU's name, as the command line takes it.
fn gpu(text: &str) -> Result<String, String> {
    match text.strip_prefix("cuda:") {
        Some(number) if number.parse::<usize>().is_ok() => Ok(text.to_owned()),
        _ => Err("name a GPU of NVIDIA's, such as cuda:0".to_owned()),
    }
}

/// imbed in each number type, and who is measured beside it.
fn contestants(args: &Args) -> Vec<Contestant> {
    let dtypes = args.dtypes();
    let peers: fn(&[String], &[String]) -> Vec<Contestant>;
    let mut all: Vec<Contestant>;
    if args.device.is_some() {
        all = dtypes.iter().flat_map(|dtype| Contestant::imbed_on_gpu(dtype)).collect();
        peers = Contestant::peers_on_gpu;
    } else {
        all = dtypes.iter().map(|dtype| Contestant::imbed(dtype)).collect();
        peers = Contestant::peers;
    }
    if !args.peers.is_empty() {
        all.extend(peers(&dtypes, args.only()));
    }
    all
}

/// Shows a section and writes down all that is known, so that a run that is cut short leaves what it had.
fn publish(args: &Args, machine: &Machine, results: &Map<String, Value>, (name, text): (&str, &str)) -> Result<()> {
    println!("\n{text}");
    keep(args, machine, results)?;
    if args.write { PAGE.write(&args.section(name), text) } else { Ok(()) }
}

/// The user's own files, as many as are wanted.
fn own(args: &Args) -> Result<PathBuf> {
    let folder = programs::folder()?.join("photos").join("own");
    photos::repeat(&args.images, args.count as usize, &folder)?;
    Ok(folder)
}

/// After so many rounds.
fn heading(args: &Args, rounds: usize, machine: &Machine) -> String {
    let done = match rounds {
        1 => "one round".to_owned(),
        _ => format!("medians of {rounds} rounds in turn (smallest to largest)"),
    };
    format!("`{}`, {done}. {machine}.", args.shown())
}

fn retrieval(programs: &Programs, table: &Path, args: &Args, machine: &Machine, scratch: &Path) -> (String, Value) {
    let mut text = format!(
        "`{}`. {machine}.\n\n| imbed/tiny | nearest other image of the same label |\n|---|---|\n",
        args.shown()
    );
    let mut shares = Map::new();
    for dtype in &args.dtypes() {
        let cell = match retrieval::share(programs, table, dtype, &args.options, scratch) {
            Ok(share) => {
                shares.insert(dtype.clone(), json!(share));
                format!("{share:.4}")
            }
            Err(error) => report::reason(&format!("{error:#}")).to_owned(),
        };
        let _ = writeln!(text, "| {dtype} | {cell} |");
    }
    (text, Value::Object(shares))
}

/// Writes down every single measurement.
fn keep(args: &Args, machine: &Machine, results: &Map<String, Value>) -> Result<()> {
    let out = match &args.out {
        Some(out) => out.clone(),
        None => programs::folder()?.join("results.json"),
    };
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder)?;
    }
    let all = json!({
        "command": args.shown(), "machine": machine.to_json(), "conditions": contest::conditions(), "results": results,
    });
    fs::write(&out, format!("{all:#}\n")).with_context(|| out.display().to_string())?;
    println!("every measurement: {}", out.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parsed(line: &str) -> Args {
        Line::parse_from(line.split(' ')).args
    }

    #[test]
    fn the_command_is_shown_without_the_users_paths() {
        let args = parsed("x --images /home/me/photos --peers --rounds 5 --option decode=fast");
        assert_eq!(
            args.shown(),
            "cargo xtask bench --models clip-vit-b32 --dtypes f32,bf16,int8,auto --count 320 --rounds 5 \
             --option decode=fast --images PHOTOS --peers"
        );
        assert!(args.only().is_empty());
    }

    #[test]
    fn a_gpu_is_named_by_its_number_and_measured_by_itself() {
        let fails = |line: &str| Line::try_parse_from(line.split(' ')).is_err();
        assert!(fails("x --device metal:0") && fails("x --device cuda") && fails("x --device cuda:0 --retrieval t"));
        assert_eq!(parsed("x --device cuda:1").dtypes(), ["f32", "bf16"]);
    }

    #[test]
    fn peers_are_named_after_an_equals_sign() {
        assert_eq!(parsed("x --peers=daft,openvino").only(), ["daft", "openvino"]);
        assert!(parsed("x").peers.is_empty());
    }

    #[test]
    fn every_table_has_its_place_in_the_docs() {
        let (here, gpu) = (parsed("x"), parsed("x --device cuda:0"));
        for name in MODELS {
            PAGE.read(&here.section(name)).unwrap();
            PAGE.read(&gpu.section(name)).unwrap();
        }
        PAGE.read(&here.section("retrieval")).unwrap();
    }
}
