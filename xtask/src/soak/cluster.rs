//! A scheduler and two executors, one of which is killed and replaced now and then.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Outcome, Stage,
    watch::{Course, LOOK},
};

const NAME: &str = "cluster";

/// A process that ends with its owner.
struct Process(Child);

impl Process {
    /// Starts it and waits for its first line.
    fn start(stage: &Stage, args: &[&str]) -> Result<(Self, String)> {
        let mut child = stage.imbed(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut line)?;
        Ok((Self(child), line.trim().to_owned()))
    }

    fn executor(stage: &Stage, scheduler: &str) -> Result<Self> {
        let args = ["cluster", "executor", "--scheduler", scheduler, "--gpus", "0", "--task-slots", "1"];
        let (executor, line) = Self::start(stage, &args)?;
        ensure!(line.contains("ready"), "an executor did not start: {line}");
        Ok(executor)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn run(stage: &Stage) -> Result<Outcome> {
    let (_scheduler, line) =
        Process::start(stage, &["cluster", "scheduler", "--bind", "127.0.0.1:0", "--executor-timeout", "6"])?;
    let scheduler = line.strip_prefix("imbed cluster scheduler: listening on ").context("no scheduler")?.to_owned();
    let mut executors = vec![Process::executor(stage, &scheduler)?, Process::executor(stage, &scheduler)?];
    let address = format!("df://{scheduler}");
    let shots = stage.folder.join("shots/**");
    let output = format!("{}/", stage.folder.join(NAME).display());
    let args = ["embed", &shots.to_string_lossy(), "--cluster", &address, "--partitions", "64", "-o", &output];
    let mut course = Course::begin();
    let mut client = stage.imbed(&args).args(["--on-error", "ignore", "--quiet"]).spawn()?;
    let (mut faults, mut last) = (0, Instant::now());
    let status = loop {
        course.look(&executors.iter().map(|e| e.0.id()).collect::<Vec<_>>());
        if let Some(status) = client.try_wait()? {
            break status;
        }
        // Less often than a process alone: that an executor is gone is noticed after some seconds, and what it had done since its last
        // part has to be done again by the other first.
        if last.elapsed() > stage.every * 6 {
            drop(executors.remove(0));
            executors.push(Process::executor(stage, &scheduler)?);
            faults += 1;
            last = Instant::now();
        }
        thread::sleep(LOOK);
    };
    ensure!(matches!(status.code(), Some(0 | 1)), "imbed embed --cluster failed ({status})");
    course.end(&stage.folder.join(NAME), |path| rows(stage, path))?;
    Ok(Outcome { name: NAME, faults, course })
}

fn rows(stage: &Stage, path: &Path) -> Result<u64> {
    let ended = stage.imbed(&["inspect", "--json"]).arg(path).output()?;
    let value: Value = serde_json::from_slice(&ended.stdout).with_context(|| path.display().to_string())?;
    ensure!(fs::metadata(path)?.len() > 0, "{} is empty", path.display());
    value["rows"].as_u64().context("imbed inspect gives no rows")
}
