//! What a run looks like from outside: memory of its processes and rows that are there, over time.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result};

/// How often somebody looks.
pub(super) const LOOK: Duration = Duration::from_millis(200);

/// A run, as far as it has come.
pub(super) struct Course {
    start: Instant,
    began: SystemTime,
    /// Seconds since the start, and MiB of the largest process then.
    memory: Vec<(f64, f64)>,
    /// Seconds since the start, and rows that were written at once then.
    rows: Vec<(f64, u64)>,
    seconds: f64,
}

impl Course {
    pub(super) fn begin() -> Self {
        Self { start: Instant::now(), began: SystemTime::now(), memory: vec![], rows: vec![], seconds: 0.0 }
    }

    /// Looks at the processes.
    pub(super) fn look(&mut self, processes: &[u32]) {
        let largest = processes.iter().filter_map(|id| resident(*id)).reduce(f64::max);
        self.memory.extend(largest.map(|mib| (self.start.elapsed().as_secs_f64(), mib)));
    }

    /// The run is over. A file of `folder` has as many rows as `rows` says, and was written when the file system says.
    pub(super) fn end(&mut self, folder: &Path, rows: impl Fn(&Path) -> Result<u64>) -> Result<()> {
        self.seconds = self.start.elapsed().as_secs_f64();
        for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "parquet") {
                let written = fs::metadata(&path)?.modified()?;
                let after = written.duration_since(self.began).unwrap_or_default().as_secs_f64();
                self.rows.push((after, rows(&path)?));
            }
        }
        Ok(())
    }

    pub(super) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// MiB at most, in the first and in the last third.
    pub(super) fn memory(&self) -> [Option<f64>; 2] {
        self.thirds(&self.memory).map(|third| third.map(|(_, mib)| *mib).reduce(f64::max))
    }

    /// Rows a second, in the first and in the last third.
    pub(super) fn speed(&self) -> [Option<f64>; 2] {
        let third = self.seconds / 3.0;
        self.thirds(&self.rows).map(|rows| Some(rows.map(|(_, rows)| *rows as f64).sum::<f64>() / third))
    }

    fn thirds<'a, T>(&self, samples: &'a [(f64, T)]) -> [Box<dyn Iterator<Item = &'a (f64, T)> + 'a>; 2] {
        let (first, last) = (self.seconds / 3.0, self.seconds / 1.5);
        [
            Box::new(samples.iter().filter(move |(at, _)| *at <= first)),
            Box::new(samples.iter().filter(move |(at, _)| *at > last)),
        ]
    }
}

/// MiB that a process has in memory, on Linux, while it runs.
fn resident(id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_third_and_the_last_are_told_apart() {
        let mut course = Course::begin();
        course.seconds = 9.0;
        course.memory = vec![(1.0, 10.0), (2.0, 12.0), (5.0, 99.0), (8.0, 13.0)];
        course.rows = vec![(3.0, 300), (4.0, 50), (7.0, 100), (9.0, 170)];
        assert_eq!(course.memory(), [Some(12.0), Some(13.0)]);
        assert_eq!(course.speed(), [Some(100.0), Some(90.0)]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_has_memory_while_it_runs() {
        assert!(resident(std::process::id()).is_some_and(|mib| mib > 1.0));
    }
}
