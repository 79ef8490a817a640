//! A scheduler and two executors. One of the three is killed and replaced now and then; where it was the scheduler, the run ends, and another
//! goes on.

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

/// Of so many faults one kills the scheduler, and the others an executor.
const SCHEDULER_IN: u32 = 3;

pub(super) fn run(stage: &Stage) -> Result<Outcome> {
    let (mut scheduler, address) = start_scheduler(stage, "127.0.0.1:0")?;
    let mut executors = vec![Process::executor(stage, &address)?, Process::executor(stage, &address)?];
    let mut course = Course::begin();
    let mut client = start_client(stage, &address, &[])?;
    let (mut faults, mut last) = (0, Instant::now());
    let status = loop {
        course.look(&executors.iter().map(|e| e.0.id()).collect::<Vec<_>>());
        if let Some(status) = client.0.try_wait()? {
            break status;
        }
        // Less often than a process alone: that an executor is gone is noticed after some seconds, and what it had done since its last
        // part has to be done again by the other first.
        if last.elapsed() > stage.every * 6 {
            faults += 1;
            if faults % SCHEDULER_IN == 0 {
                drop(scheduler);
                let status = client.0.wait()?;
                ensure!(status.code() == Some(3), "without a scheduler imbed embed --cluster ended with {status}");
                (scheduler, _) = start_scheduler(stage, &address)?;
                client = start_client(stage, &address, &["--resume"])?;
            } else {
                drop(executors.remove(0));
                executors.push(Process::executor(stage, &address)?);
            }
            last = Instant::now();
        }
        thread::sleep(LOOK);
    };
    ensure!(matches!(status.code(), Some(0 | 1)), "imbed embed --cluster failed ({status})");
    course.end(&stage.folder.join(NAME), |path| rows(stage, path))?;
    Ok(Outcome { name: NAME, faults, course })
}

/// A scheduler, and where it listens.
fn start_scheduler(stage: &Stage, bind: &str) -> Result<(Process, String)> {
    let args = ["cluster", "scheduler", "--bind", bind, "--executor-timeout", "6"];
    let (scheduler, line) = Process::start(stage, &args)?;
    let address = line.strip_prefix("imbed cluster scheduler: listening on ").context("no scheduler")?.to_owned();
    Ok((scheduler, address))
}

fn start_client(stage: &Stage, scheduler: &str, more: &[&str]) -> Result<Process> {
    let (shots, output) = (stage.folder.join("shots/**"), format!("{}/", stage.folder.join(NAME).display()));
    let scheduler = format!("df://{scheduler}");
    let args = ["embed", &shots.to_string_lossy(), "--cluster", &scheduler, "--partitions", "64", "-o", &output];
    let mut command = stage.imbed(&args);
    Ok(Process(command.args(["--on-error", "ignore", "--quiet"]).args(more).stderr(Stdio::null()).spawn()?))
}

fn rows(stage: &Stage, path: &Path) -> Result<u64> {
    let ended = stage.imbed(&["inspect", "--json"]).arg(path).output()?;
    let value: Value = serde_json::from_slice(&ended.stdout).with_context(|| path.display().to_string())?;
    ensure!(fs::metadata(path)?.len() > 0, "{} is empty", path.display());
    value["rows"].as_u64().context("imbed inspect gives no rows")
}
