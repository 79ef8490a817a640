//! What the machine has, as far as a plan needs to know.

use std::{num::NonZeroUsize, thread};

/// Cores and memory. Read from the machine, or given, so that plans can be tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Logical processors that this process may use.
    pub cpus: NonZeroUsize,
    /// Memory in bytes, where it is known.
    pub memory: Option<u64>,
}

impl Machine {
    /// This machine.
    pub fn detect() -> Self {
        Self { cpus: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN), memory: memory() }
    }
}

/// The smaller of physical memory and the control group's limit; `None` where neither can be read.
fn memory() -> Option<u64> {
    let physical = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_total(&text));
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    [physical, group].into_iter().flatten().min()
}

/// `MemTotal` of `/proc/meminfo`, which counts in KiB, as bytes.
fn mem_total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(mem_total("MemFree: 1 kB\nMemTotal:       24576 kB\n"), Some(24576 * 1024));
        assert_eq!(mem_total("nothing"), None);
    }
}
