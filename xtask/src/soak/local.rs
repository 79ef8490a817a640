//! One process, and processes that are killed one after the other.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Outcome, Stage,
    watch::{Course, LOOK},
};

/// Rows of a part: few, or a process that is killed after a few seconds would never have done one.
const PART_ROWS: &str = "250";

/// The run that the others are held against, and its folder.
pub(super) const UNDISTURBED: &str = "undisturbed";

pub(super) fn undisturbed(stage: &Stage) -> Result<Outcome> {
    disturbed(stage, UNDISTURBED, None)
}

pub(super) fn killed(stage: &Stage) -> Result<Outcome> {
    disturbed(stage, "killed", Some(stage.every))
}

fn disturbed(stage: &Stage, name: &'static str, every: Option<Duration>) -> Result<Outcome> {
    let output = format!("{name}/");
    let args =
        ["embed", "shots", "-o", &output, "--on-error", "ignore", "--part-rows", PART_ROWS, "--resume", "--quiet"];
    let mut course = Course::begin();
    let mut faults = 0;
    'runs: loop {
        let mut child = stage.imbed(&args).spawn().context("imbed cannot be started")?;
        let start = Instant::now();
        let status = loop {
            course.look(&[child.id()]);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if every.is_some_and(|every| start.elapsed() > every) {
                child.kill()?;
                child.wait()?;
                faults += 1;
                continue 'runs;
            }
            thread::sleep(LOOK);
        };
        ensure!(matches!(status.code(), Some(0 | 1)), "{name}: imbed failed ({status})");
        break;
    }
    let folder = stage.folder.join(name);
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("_imbed.json"))?)?;
    let parts = manifest["parts"].as_array().context("the manifest lists no parts")?;
    course.end(&folder, |path| {
        let name = path.file_name().and_then(|n| n.to_str());
        let part = parts.iter().find(|part| part["name"].as_str() == name);
        part.and_then(|part| part["rows"].as_u64())
            .with_context(|| format!("{} is not in the manifest", path.display()))
    })?;
    Ok(Outcome { name, faults, course })
}
