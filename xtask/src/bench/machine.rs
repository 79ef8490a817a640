//! What the figures were measured on, and what of.

use std::{fmt, fs, process::Command};

use serde_json::{Value, json};

use crate::step::root;

/// Instructions that decide how fast a model can be.
const FLAGS: [&str; 13] = [
    "avx2",
    "fma",
    "avx_vnni",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_int8",
    "asimd",
    "asimddp",
    "i8mm",
    "sve",
];

#[derive(Debug)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    flags: Vec<&'static str>,
    memory_gib: Option<f64>,
    /// Processes that wanted a core when the run began, over the last minute.
    load: Option<f64>,
    commit: String,
    compiler: String,
    /// What the GPU's driver says of it, where one is measured.
    gpu: Option<String>,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |names: &[&str]| {
            let line = cpu.lines().find(|line| names.iter().any(|name| line.starts_with(name)))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let flags = field(&["flags", "Features"]).unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").ok();
        let kilobytes = memory.and_then(|text| text.split_whitespace().nth(1)?.parse::<f64>().ok());
        let load = fs::read_to_string("/proc/loadavg").ok();
        Self {
            processor: field(&["model name"]).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: cores(),
            flags: FLAGS.into_iter().filter(|flag| flags.split(' ').any(|f| f == *flag)).collect(),
            memory_gib: kilobytes.map(|kilobytes| kilobytes / 1024.0 / 1024.0),
            load: load.and_then(|text| text.split(' ').next()?.parse().ok()),
            commit: commit(),
            compiler: said(Command::new("rustc").arg("--version")),
            gpu: None,
        }
    }

    /// With what the driver says of its GPUs.
    pub(crate) fn and_gpu(self) -> Self {
        let what = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"];
        Self { gpu: Some(said(Command::new("nvidia-smi").args(what))), ..self }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "processor": self.processor, "cores": self.cores, "flags": self.flags, "memory_gib": self.memory_gib,
            "load_at_start": self.load, "commit": self.commit, "compiler": self.compiler, "gpu": self.gpu,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(gpu) = &self.gpu {
            write!(f, "{gpu}; ")?;
        }
        write!(f, "{} cores of {} ({})", self.cores, self.processor, self.flags.join(", "))?;
        if let Some(memory) = self.memory_gib {
            write!(f, ", {memory:.0} GiB")?;
        }
        if let Some(load) = self.load {
            write!(f, ", load {load:.1} at the start")?;
        }
        let built_from = [&self.commit, &self.compiler].map(String::as_str);
        built_from.iter().filter(|text| !text.is_empty()).try_for_each(|text| write!(f, "; {text}"))
    }
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The commit that is measured, with a mark if files differ from it.
fn commit() -> String {
    let git = |args: &[&str]| said(Command::new("git").args(args).current_dir(root()));
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
    match git(&["rev-parse", "--short=10", "HEAD"]) {
        none if none.is_empty() => none,
        commit => format!("commit {commit}{}", if changed { " and changes" } else { "" }),
    }
}

fn said(command: &mut Command) -> String {
    let output = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}
