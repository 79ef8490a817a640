//! Which GPUs this process may see.

use std::{env, fmt, fs, process::Command};

/// The GPUs of a machine. Injectable, so that planning is tested without one.
pub trait GpuInventory: fmt::Debug + Send + Sync {
    /// Number of NVIDIA GPUs that CUDA would show this process.
    fn cuda(&self) -> usize;

    /// Number of Apple GPUs.
    fn metal(&self) -> usize;
}

/// The GPUs of the machine that the program runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemInventory;

impl GpuInventory for SystemInventory {
    fn cuda(&self) -> usize {
        visible(installed_nvidia(), env::var("CUDA_VISIBLE_DEVICES").ok().as_deref())
    }

    fn metal(&self) -> usize {
        usize::from(cfg!(target_os = "macos"))
    }
}

/// A made-up inventory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FixedInventory {
    /// NVIDIA GPUs.
    pub cuda: usize,
    /// Apple GPUs.
    pub metal: usize,
}

impl GpuInventory for FixedInventory {
    fn cuda(&self) -> usize {
        self.cuda
    }

    fn metal(&self) -> usize {
        self.metal
    }
}

/// NVIDIA GPUs that the driver lists: through its folder on Linux, else through `nvidia-smi`.
fn installed_nvidia() -> usize {
    if let Ok(entries) = fs::read_dir("/proc/driver/nvidia/gpus") {
        return entries.count();
    }
    let Ok(output) = Command::new("nvidia-smi").arg("--list-gpus").output() else { return 0 };
    if !output.status.success() {
        return 0;
    }
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with("GPU ")).count()
}

/// How many of `installed` GPUs `CUDA_VISIBLE_DEVICES` leaves visible, by CUDA's rule: the list counts up to its first
/// entry that names no GPU, and an empty list hides all. Entries are indices, or identifiers that start with a letter.
fn visible(installed: usize, list: Option<&str>) -> usize {
    let Some(list) = list else { return installed };
    let names_a_gpu = |entry: &str| match entry.trim().parse::<i64>() {
        Ok(index) => usize::try_from(index).is_ok_and(|index| index < installed),
        Err(_) => entry.trim().starts_with(char::is_alphabetic),
    };
    list.split(',').take_while(|entry| names_a_gpu(entry)).count().min(installed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_devices_follow_cudas_rule() {
        for (list, seen) in [
            (None, 4),
            (Some(""), 0),
            (Some("-1"), 0),
            (Some("0"), 1),
            (Some("2,3"), 2),
            (Some("0, 1"), 2),
            (Some("0,9,1"), 1),
            (Some("GPU-8932f937,GPU-1"), 2),
        ] {
            assert_eq!(visible(4, list), seen, "{list:?}");
        }
        assert_eq!(visible(0, Some("0,1")), 0);
    }
}
