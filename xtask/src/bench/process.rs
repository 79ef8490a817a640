//! One process, measured from outside: how long it took, and the most memory it held.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::step;

/// What one run gave.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    /// Of the process itself, without its children's, in MiB; where the system tells.
    pub(crate) peak: Option<f64>,
    /// The last line on standard output, where it is JSON.
    pub(crate) said: Value,
}

/// Runs `command` to its end, in an empty folder: an imbed.toml of the caller's would be obeyed. What it says is shown
/// only if it fails.
pub(crate) fn run(command: &mut Command) -> Result<Measured> {
    run_with_code(command, 0)
}

/// The same for a command that ends with another exit code, or with none.
pub(crate) fn run_with_code(command: &mut Command, code: i32) -> Result<Measured> {
    let shown = step::show(command);
    let folder = tempfile::tempdir()?;
    let [out, errors] = ["out", "errors"].map(|name| folder.path().join(name));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty)?;
    command.current_dir(empty).stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&errors)?);
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("{shown} cannot be started"))?;
    let ended = AtomicBool::new(false);
    let (status, seconds, peak) = thread::scope(|scope| {
        let watcher = watch(scope, &child, &ended);
        let status = child.wait();
        let seconds = start.elapsed().as_secs_f64();
        ended.store(true, Ordering::Relaxed);
        (status, seconds, watcher.join().ok().flatten())
    });
    let status = status?;
    if !matches!(status.code(), Some(given) if given == code || given == 0) {
        bail!("{shown} failed ({status}):\n{}", tail(&errors, 12));
    }
    let text = fs::read_to_string(&out).unwrap_or_default();
    let said = text.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or(Value::Null);
    Ok(Measured { seconds, peak, said })
}

/// Looks at the process's own high-water mark until it ends: the system forgets it with the process.
fn watch<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    child: &Child,
    ended: &'scope AtomicBool,
) -> thread::ScopedJoinHandle<'scope, Option<f64>> {
    let status = format!("/proc/{}/status", child.id());
    scope.spawn(move || {
        let mut peak = None;
        while !ended.load(Ordering::Relaxed) {
            if let Some(now) = fs::read_to_string(&status).ok().as_deref().and_then(high_water) {
                peak = Some(peak.unwrap_or(0.0_f64).max(now));
            }
            thread::sleep(Duration::from_millis(5));
        }
        peak
    })
}

/// MiB, of the text of `/proc/PID/status`.
fn high_water(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<f64>().ok()? / 1024.0)
}

fn tail(file: &Path, lines: usize) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let all: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_what_a_process_says() {
        let measured = run(Command::new("sh").args(["-c", "echo hello; echo '{\"a\":1}'"])).unwrap();
        assert_eq!(measured.said["a"], 1);
    }

    #[test]
    fn a_failure_quotes_what_the_process_said() {
        let error = run(Command::new("sh").args(["-c", "echo because >&2; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("because") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn the_high_water_mark_is_read_in_mebibytes() {
        assert_eq!(high_water("Name:\tx\nVmPeak:\t  9 kB\nVmHWM:\t    2048 kB\n"), Some(2.0));
        assert_eq!(high_water("Name:\tx\n"), None);
    }
}
